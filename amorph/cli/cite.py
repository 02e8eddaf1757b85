"""The verb of citations: cite."""

import difflib
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from amorph.cli.options import Json, Quiet
from amorph.cli.output import say, show_json, start


def cite(
    *used: Annotated[str, Parameter(help="Verbs that were called, and directories of finished runs; none for amorph.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print what a run or a verb is to be cited with, as BibTeX: amorph, the model, the methods.

    Bond-valence parameters have sources of their own, which amorph parameters names for each pair.
    """
    from amorph.report import bibtex

    start(quiet=quiet)
    keys = [key for name in used for key in _keys(name)] or ["kawaguchi2025"]
    if json:
        show_json({"keys": ["amorph", *dict.fromkeys(keys)], "bibtex": bibtex(keys)})
    elif not quiet:
        say(bibtex(keys))


def _keys(name: str) -> list[str]:
    """Find what a verb or a run rests on."""
    from amorph.cli.app import VERBS
    from amorph.report import VERBS as RESTS_ON, found_run, keys_of_run

    if name in VERBS:
        return list(RESTS_ON.get(name, ()))
    if Path(name).is_dir():
        return keys_of_run(found_run(Path(name)))
    near = difflib.get_close_matches(name, VERBS, n=1)
    remedy = f"did you mean {near[0]}?" if near else "give the directory of a finished run, or a verb such as bvs"
    raise ValueError(f"'{name}' is neither a directory nor a verb; {remedy}")
