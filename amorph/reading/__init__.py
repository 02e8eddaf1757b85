"""Structures, trajectories and fields from files; whatever is wrong with a file is one line that names it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
