"""What a run or a verb asks to be cited with, as BibTeX."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

from amorph.pipeline.study import DYNAMICS
from amorph.report.found import FoundRun

_ACTA = "Acta Crystallographica Section"
_ENTRIES: Final[Mapping[str, Mapping[str, str]]] = {
    "kawaguchi2025": {
        "title": "Amorphous oxide cathode enabling room-temperature rechargeable magnesium batteries",
        "author": "Kawaguchi, T. and others",
        "journal": "Communications Materials",
        "volume": "6",
        "year": "2025",
        "doi": "10.1038/s43246-025-00921-0",
    },
    "deng2023": {
        "title": "CHGNet as a pretrained universal neural network potential for charge-informed atomistic modelling",
        "author": "Deng, B. and others",
        "journal": "Nature Machine Intelligence",
        "year": "2023",
        "doi": "10.1038/s42256-023-00716-3",
    },
    "brown1985": {
        "title": "Bond-valence parameters obtained from a systematic analysis of the Inorganic Crystal Structure "
        "Database",
        "author": "Brown, I. D. and Altermatt, D.",
        "journal": f"{_ACTA} B",
        "volume": "41",
        "pages": "244",
        "year": "1985",
        "doi": "10.1107/S0108768185002063",
    },
    "chen2019": {
        "title": "SoftBV: a software tool for screening the materials genome of inorganic fast ion conductors",
        "author": "Chen, H. and Wong, L. L. and Adams, S.",
        "journal": f"{_ACTA} B",
        "volume": "75",
        "pages": "18",
        "year": "2019",
        "doi": "10.1107/S2052520618015718",
    },
    "cordero2008": {
        "title": "Covalent radii revisited",
        "author": "Cordero, B. and others",
        "journal": "Dalton Transactions",
        "year": "2008",
        "doi": "10.1039/B801115J",
    },
    "shannon1976": {
        "title": "Revised effective ionic radii and systematic studies of interatomic distances in halides and "
        "chalcogenides",
        "author": "Shannon, R. D.",
        "journal": f"{_ACTA} A",
        "volume": "32",
        "pages": "751",
        "year": "1976",
        "doi": "10.1107/S0567739476001551",
    },
    "waasmaier1995": {
        "title": "New analytical scattering-factor functions for free atoms and ions",
        "author": "Waasmaier, D. and Kirfel, A.",
        "journal": f"{_ACTA} A",
        "volume": "51",
        "pages": "416",
        "year": "1995",
        "doi": "10.1107/S0108767394013292",
    },
    "mccluskey2024": {
        "title": "Accurate estimation of diffusion coefficients and their uncertainties from computer simulation",
        "author": "McCluskey, A. R. and Coles, S. W. and Morgan, B. J.",
        "journal": "Journal of Chemical Theory and Computation",
        "year": "2024",
        "doi": "10.1021/acs.jctc.4c01249",
    },
    "vandeneijnden2006": {
        "title": "Second-order integrators for Langevin equations with holonomic constraints",
        "author": "Vanden-Eijnden, E. and Ciccotti, G.",
        "journal": "Chemical Physics Letters",
        "year": "2006",
        "doi": "10.1016/j.cplett.2006.07.086",
    },
    "bussi2007": {
        "title": "Canonical sampling through velocity rescaling",
        "author": "Bussi, G. and Donadio, D. and Parrinello, M.",
        "journal": "The Journal of Chemical Physics",
        "volume": "126",
        "pages": "014101",
        "year": "2007",
        "doi": "10.1063/1.2408420",
    },
    "martyna1994": {
        "title": "Constant pressure molecular dynamics algorithms",
        "author": "Martyna, G. J. and Tobias, D. J. and Klein, M. L.",
        "journal": "Journal of Chemical Physics",
        "year": "1994",
        "doi": "10.1063/1.467468",
    },
    "rego2015": {
        "title": "3Dmol.js: molecular visualization with WebGL",
        "author": "Rego, N. and Koes, D.",
        "journal": "Bioinformatics",
        "year": "2015",
        "doi": "10.1093/bioinformatics/btu829",
    },
}

VERBS: Final[Mapping[str, tuple[str, ...]]] = {
    "build": ("shannon1976",),
    "melt-quench": ("deng2023", "vandeneijnden2006", "martyna1994"),
    "relax": ("deng2023",),
    "structure": ("waasmaier1995",),
    "free-volume": ("kawaguchi2025",),
    "bvs": ("kawaguchi2025", "brown1985"),
    "bvse": ("chen2019", "cordero2008"),
    "parameters": ("brown1985", "chen2019"),
    "percolation": ("chen2019", "cordero2008"),
    "isosurface": ("kawaguchi2025",),
    "diffusion": ("mccluskey2024",),
    "voltage": ("deng2023", "brown1985"),
    "report": ("rego2015",),
    "view": ("rego2015",),
}
"""What each verb rests on beside amorph itself; CHGNet where no other factory is named."""


def bibtex(keys: Iterable[str] = ()) -> str:
    """Give the entries of some keys, that of amorph before them."""
    return "\n\n".join([_amorph(), *(_written("article", key, _ENTRIES[key]) for key in dict.fromkeys(keys))])


def keys_of_run(run: FoundRun) -> list[str]:
    """Find what a finished run rests on: its models, its dynamics, its analyses and its page."""
    return [*keys_of_study(run.tables, run.provenance, analysed=bool(run.branches)), "rego2015"]


def keys_of_study(study: Mapping[str, Any], provenance: Mapping[str, Any], *, analysed: bool) -> list[str]:
    """Find what a study rests on, whose structures were analysed or only melted."""
    ensembles = {
        segment["ensemble"]
        for table in (study.get(name) for name in DYNAMICS)
        if table and "engine" not in table  # LAMMPS has a thermostat of its own
        for segment in table["schedule"]["segments"]
    }
    used = {
        "kawaguchi2025": True,
        "deng2023": any("CHGNet" in model for model in provenance.get("models", ())),
        "vandeneijnden2006": "NVT" in ensembles,
        "bussi2007": "Bussi" in ensembles or "diffusion" in study,
        "mccluskey2024": "diffusion" in study,
        "martyna1994": "NPT" in ensembles,
        "brown1985": analysed,
        "chen2019": analysed and "bvse" in study,
        "cordero2008": analysed and "bvse" in study,
        "waasmaier1995": analysed,
    }
    return [key for key, is_used in used.items() if is_used]


def _amorph() -> str:
    fields = {
        "title": "amorph: an atomistic toolkit for amorphous battery cathodes",
        "author": "{The amorph developers}",
        "version": version("amorph"),
    }
    return _written("software", "amorph", fields)


def _written(kind: str, key: str, fields: Mapping[str, Any]) -> str:
    lines = [f"  {name.ljust(7)} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}"])
