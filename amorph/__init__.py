"""Atomistic toolkit for amorphous battery cathodes: composition, glass, ion exchange, free volume."""

from importlib.metadata import version

import lazy_loader

from amorph.figures import shown_by

# Names are loaded on first use (PEP 562), so that `import amorph` stays fast and `amorph bvs` loads no torch.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = version("amorph")
shown_by("amorph.report.notebook")
