"""The toy of ions in a process of its own, whose run leaves out its page: drawing it takes longer than the run."""

import sys

from toys import Ions

__all__ = ["Ions"]

if "pytest" not in sys.modules:
    import amorph.cli.report

    amorph.cli.report.tried_page = lambda _: None
