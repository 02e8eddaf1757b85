"""At what voltage does the ion leave, how much charge does it carry, and which cation gives it?"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
