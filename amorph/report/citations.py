"""What a report asks its reader to cite, as BibTeX."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Final

_ENTRIES: Final = {
    "amorph": """@software{{amorph,
  title   = {{amorph: an atomistic toolkit for amorphous battery cathodes}},
  author  = {{{{The amorph developers}}}},
  version = {{{version}}},
}}""",
    "kawaguchi2025": """@article{{kawaguchi2025,
  title   = {{Amorphous oxide cathode enabling room-temperature rechargeable magnesium batteries}},
  author  = {{Kawaguchi, T. and others}},
  journal = {{Communications Materials}},
  volume  = {{6}},
  year    = {{2025}},
  doi     = {{10.1038/s43246-025-00921-0}},
}}""",
    "CHGNet": """@article{{deng2023,
  title   = {{CHGNet as a pretrained universal neural network potential for charge-informed atomistic modelling}},
  author  = {{Deng, B. and others}},
  journal = {{Nature Machine Intelligence}},
  year    = {{2023}},
  doi     = {{10.1038/s42256-023-00716-3}},
}}""",
    "3Dmol": """@article{{rego2015,
  title   = {{3Dmol.js: molecular visualization with WebGL}},
  author  = {{Rego, Nicholas and Koes, David}},
  journal = {{Bioinformatics}},
  doi     = {{10.1093/bioinformatics/btu829}},
}}""",
}


def bibtex(models: Iterable[str] = ()) -> str:
    """Give what a run by some models is to be cited with; the first two entries and the viewer always."""
    names = ["amorph", "kawaguchi2025", *(["CHGNet"] if any("CHGNet" in model for model in models) else []), "3Dmol"]
    return "\n\n".join(_ENTRIES[name].format(version=version("amorph")) for name in names)
