"""Order: pair distributions, coordination, angles, polyhedra, connectivity and rings of a glass or a crystal."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
