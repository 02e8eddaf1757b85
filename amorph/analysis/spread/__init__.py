"""How evenly the free volume is spread, and how much is around each ion."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
