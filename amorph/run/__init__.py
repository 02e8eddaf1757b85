"""A run directory: configuration, stages, checkpoints, lock and log; it knows no physics."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
