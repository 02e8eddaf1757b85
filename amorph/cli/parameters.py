"""The verb of bond-valence parameters: parameters."""

from typing import Annotated

from cyclopts import Parameter

from amorph.cli.options import Json, Quiet
from amorph.cli.output import show, show_json, start
from amorph.figures import plain
from amorph.tables import DEFAULT_SETS, bond_valence_rows, soft_bond_valence


def parameters(
    ion: Annotated[str, Parameter(help='The cation: "Li+".')],
    anion: Annotated[str, Parameter(help='The anion, "S2-", or its element.')] = "O2-",
    /,
    *,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the bond-valence parameters of an ion and an anion in every set that has them, with their sources.

    The first row of a default set is what amorph bvs takes; the row with D0 and R_min is what amorph bvse takes. The
    last is estimated from the sizes of the elements, and taken where no default set has the pair.
    """
    start(quiet=quiet)
    rows = bond_valence_rows(ion, anion)
    taken = next((row.set for row in rows if row.set in DEFAULT_SETS), rows[-1].set)
    shown = []
    for row in rows:
        soft = None if row.set in DEFAULT_SETS or row.estimated else soft_bond_valence(ion, anion)
        shown.append(
            {
                "set": row.set,
                "bvs": "default" if row.set == taken else "--set",
                "r0_A": row.r0,
                "b_A": row.b,
                "d0_eV": None if soft is None else soft.d0,
                "r_min_A": None if soft is None else soft.r_min,
                "estimated": row.estimated,
                "source": row.source,
            }
        )
    if json:
        show_json({"ion": rows[0].cation, "anion": rows[0].anion, "parameters": plain(rows), "default": taken})
    elif not quiet:
        show(shown, title=f"bond valence exp[(r0 − d)/b] of {rows[0].cation} and {rows[0].anion}")
