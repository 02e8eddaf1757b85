"""The run of a study: its stages in order, on one page, and what they hand on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
