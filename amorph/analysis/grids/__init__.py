"""What every map on a grid shares: points, bins of atoms, work in slabs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
