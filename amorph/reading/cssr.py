"""CSSR files, whose atoms pymatgen reads as they are listed."""

import re
from pathlib import Path

from ase import Atoms

from amorph.reading.files import RefusedError, text_of
from amorph.reading.symmetry import is_above_p1
from amorph.structure import periodic_atoms


def read_cssr(path: Path) -> Atoms:
    """Read a CSSR file in P 1.

    Raises
    ------
    RefusedError
        It names a group above P 1, whose operations nobody would apply.
    """
    from pymatgen.io.cssr import Cssr

    text = text_of(path)
    group = re.search(r"SPGR\s*=\s*(\d+)\s*(.*?)\s*(OPT\b|$)", text, re.M)
    if group is not None and is_above_p1(group[2], int(group[1])):
        raise RefusedError(f"has the space group {group[2]}, whose operations are not read of a CSSR; give it as P 1")
    return periodic_atoms(Cssr.from_str(text).structure)
