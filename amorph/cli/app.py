"""The verbs and their place in the command line."""

import ast
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError


VERBS = (
    "build",
    "melt-quench",
    "relax",
    "substitute",
    "verdict",
    "structure",
    "free-volume",
    "bvs",
    "bvse",
    "parameters",
    "voids",
    "percolation",
    "isosurface",
    "diffusion",
    "voltage",
    "vasp-input",
    "order",
    "convert",
    "run",
    "report",
    "view",
    "plot",
    "picture",
    "completion",
    "examples",
    "cite",
    "ensemble run",
    "ensemble status",
    "ensemble summary",
)

GROUPS = {"ensemble": "Run a study many times: varied, each member with a seed of its own."}
"""Verbs that have verbs of their own."""

_EPILOGUE = """\
amorph VERB --help lists the flags of a verb. Exit status: 0 done; 1 failed; 2 bad input; 3 stopped with a checkpoint, \
the same command continues; 4 done and kept, but a check failed (not a glass, not converged). --debug shows where an \
error arose.
"""


def make_app(*, summaries: bool = False) -> "App":
    """Make the command line's app; a verb's module is imported when the verb is called.

    With `summaries` each verb is listed with the first line of its docstring, read without importing it.
    """
    import cyclopts

    import amorph
    from amorph.cli.help_text import PlainHelp

    def made(name: str, about: str, **options: Any) -> "App":
        return cyclopts.App(
            name=name,
            help=about,
            help_epilogue=_EPILOGUE if summaries else None,
            help_flags=["--help", "-h"],
            help_format="plaintext",
            help_formatter=PlainHelp(),
            **options,
        )

    about = "From a composition to a glass, its ions exchanged, and where the new ions can live and move."
    app = made("amorph", about, version=amorph.__version__, suppress_keyboard_interrupt=False)
    groups = {name: made(name, text, version_flags=[], sort_key=len(VERBS)) for name, text in GROUPS.items()}
    for order, verb in enumerate(VERBS):
        group_name, _, name = verb.rpartition(" ")
        function = verb.replace("-", "_").replace(" ", "_")
        module = group_name or function
        (groups[group_name] if group_name else app).command(
            f"amorph.cli.{module}:{function}",
            name=name,
            sort_key=order,
            help=_summary(module, function) if summaries else None,
        )
    for group in groups.values():
        app.command(group)
    return app


def _verb(tokens: Sequence[str]) -> str | None:
    """Find the verb; None where only help or the version is wanted."""
    if not tokens or tokens[0].startswith("-"):
        return None
    if tokens[0] in GROUPS and (len(tokens) == 1 or tokens[1].startswith("-")):
        return None
    verb = " ".join(tokens[:2]) if tokens[0] in GROUPS else tokens[0]
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        raise ValueError(
            f"there is no verb '{verb}'; " + (f"did you mean {near[0]}?" if near else f"give {', '.join(VERBS)}")
        )
    return verb


def _one_line(error: "CycloptsError") -> str:
    """Put a message of cyclopts into ours: the flag, the value, the rule."""
    from cyclopts.exceptions import MissingArgumentError, UnusedCliTokensError

    if isinstance(error, UnusedCliTokensError):
        return f"too many arguments: {' '.join(error.unused_tokens or [])}"
    text = re.sub(r'^Command ".*?" parameter ', "", " ".join(str(error).split())).removesuffix(".")
    if isinstance(error, MissingArgumentError) and error.argument is not None and not error.argument.tokens:
        return f"{text.split(' requires ')[0]} is missing or has too few values"
    text = re.sub(r"Literal\[(.*?)\]", r"\1", text.replace("|None", "")).replace("|", " or ")
    return text[:1].lower() + text[1:]


def _summary(module: str, function: str) -> str:
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    verbs = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return (ast.get_docstring(verbs[function]) or "").partition("\n")[0]
