"""``python -m amorph``."""

import sys

from amorph.cli import main

sys.exit(main())
