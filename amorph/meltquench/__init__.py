"""Melt and quench: schedules, molecular dynamics, and what ends a run that went wrong."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
