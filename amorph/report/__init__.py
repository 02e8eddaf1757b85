"""Pages to look at: a finished run with whether to trust it, and the 3-D view of any structure, field or surface."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
