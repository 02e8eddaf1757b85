"""Voids: exact holes and windows between atoms, pores and what a probe can reach."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
