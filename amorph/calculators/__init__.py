"""Force calculators: made by name, evaluated one by one or gathered, with a repulsion for close pairs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
