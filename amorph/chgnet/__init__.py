"""The CHGNet force engine: the weights of the chgnet package behind a fast ASE calculator."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
