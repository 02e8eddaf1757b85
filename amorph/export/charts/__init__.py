"""Curves, each described once: drawn for a page, a notebook or a paper, and written as a table."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
