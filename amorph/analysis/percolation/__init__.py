"""Where a region of a field runs through the crystal, and the paths of lowest barrier."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
