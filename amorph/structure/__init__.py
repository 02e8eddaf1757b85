"""One structure at rest: made periodic, its pairs, what is too close, its oxidation states and radii."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
