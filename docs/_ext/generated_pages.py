"""Pages that the code writes: verbs, keys of a study, the interface in Python."""

import inspect
import re
from importlib import import_module
from pathlib import Path

from sphinx.util.typing import stringify_annotation

import amorph
from amorph.cli import VERBS, make_app
from amorph.cli.help_text import PlainHelp, labels, plain_text
from amorph.ensemble import plan, shared_melt
from amorph.parameters import described
from amorph.pipeline import TABLES, Table, keys_of

ROOMS = {
    "Making structures": ["rocksalt", "meltquench", "relaxation", "substitution"],
    "Potentials": ["calculators", "chgnet"],
    "Is it a glass, and what is its structure?": [
        "analysis.crystallinity",
        "analysis.glass_report",
        "analysis.order",
        "analysis.scattering",
        "analysis.polyhedra",
    ],
    "Where an ion could live and move": [
        "analysis.voronoi",
        "analysis.bvs",
        "analysis.bvse",
        "analysis.percolation",
        "analysis.distance",
        "analysis.voids",
        "analysis.spread",
        "analysis.isosurface",
    ],
    "Motion and voltage": ["analysis.transport", "analysis.electrochemistry", "analysis.decorrelation"],
    "Structures, fields and files": [
        "structure",
        "fields",
        "figures",
        "tables",
        "reading",
        "export",
        "export.fields",
        "export.picture",
    ],
    "Runs": ["pipeline", "report"],
}
"""Rooms of the package whose names are public, by what they are for."""

_BOUNDS = re.compile(r" \[((?:above|at least|below|at most|from) [^\]]*)\]")


def setup(app):
    """Write the pages before any is read, and say in docstrings what their signatures know."""
    app.connect("config-inited", _write)
    app.connect("autodoc-process-docstring", _complete, priority=400)  # before napoleon reads it
    app.connect("autodoc-process-docstring", _give_back, priority=600)  # after it has
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _write(app, _):
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    pages = {"verbs": _verbs(), "study_keys": _study_keys(), "api/index": _api_index()}
    pages |= {f"api/{room}": _api(room) for rooms in ROOMS.values() for room in rooms}
    for name, text in pages.items():
        path = folder / f"{name}.md"
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # Sphinx reads again what is newer
            path.write_text(text, encoding="utf-8")


class _Told(PlainHelp):
    """Keeps what the help of a verb would print."""

    def __init__(self):
        self.usage, self.flags = "", []

    def __call__(self, console, options, panel):
        self.flags += panel.entries

    def render_usage(self, console, options, usage):
        self.usage = str(usage).removeprefix("Usage: ").strip()

    def render_description(self, console, options, description):
        pass


def _verbs():
    """Every verb with its flags, from the signatures that the command line is made of."""
    app = make_app()
    text = (
        "# Verbs\n\nEvery verb and every flag, from the same signatures that check them; "
        "`amorph VERB --help` prints the same.\nThe unit of a flag stands in brackets.\n"
    )
    for verb in VERBS:
        words, told = verb.split(), _Told()
        command = app
        for word in words:
            command = command[word]
        command.help_formatter = told
        app.help_print(words)
        about = inspect.cleandoc(command.default_command.__doc__).split("\n\nParameters\n")[0]
        text += f"\n## amorph {verb}\n\n{about}\n\n"
        text += _table(("flag", "meaning", "bounds", "default"), [_flag(entry) for entry in told.flags])
    return text


def _flag(entry):
    meaning = plain_text(entry.description)
    bounds = _BOUNDS.search(meaning)
    shown = "required" if entry.required else entry.default if entry.metavar and entry.default is not None else ""
    return f"`{labels(entry)}`", _BOUNDS.sub("", meaning), bounds[1] if bounds else "", f"`{shown}`" if shown else ""


def _study_keys():
    """Every key of a study and of an ensemble, from the signatures that read them."""
    text = (
        "# Keys of a study\n\nEvery table and key of a study's TOML file, from the same signatures that check it; "
        "`amorph run --explain KEY` prints\nthe same. A file says only what differs from these defaults; "
        "only `[build]` is required.\n"
    )
    for name, table in TABLES.items():
        text += _keys(name, table)
    text += (
        "\n## Keys of an ensemble\n\nThe file of `amorph ensemble run`. Its table `[vary]` has the values of any key.\n"
    )
    for name, function in (
        ("ensemble", plan.ensemble),
        ("melt", shared_melt.melt),
        ("slurm", plan.slurm),
        ("parsl", plan.parsl),
    ):
        text += _keys(name, Table(function, {}, optional=name != "ensemble"), level="###", of="ensemble-")
    return text


def _keys(name, table, *, level="##", of=""):
    about = inspect.getdoc(table.function).partition("\n")[0]
    when = (
        " Needed in every file." if table.required else " Used where the file has the table." if table.optional else ""
    )
    rows = [
        (
            f"`{key.name.removeprefix(f'{name}.')}`",
            key.about.meaning,
            key.about.kind + (f" [{key.about.unit}]" if key.about.unit else ""),
            f"`{key.default}`" if key.default not in {"required", "not set"} else key.default,
        )
        for key in keys_of(name, table)
    ]
    return f"\n({of}{name})=\n{level} [{name}]\n\n{about}{when}\n\n" + _table(
        ("key", "meaning", "value", "default"), rows
    )


def _table(head, rows):
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "```{table}\n:class: keys\n\n" + "\n".join(lines) + "\n```\n"


def _api_index():
    """The names at the top of the package, and the rooms that they come from."""
    text = (
        "# Python\n\n`import amorph` gives these names at once; each links to its room, which holds the rest. "
        "Arguments are checked against the\nbounds that stand beside them, and an error is one line: the thing, "
        "its value, the rule, the remedy.\n\n"
    )
    rows = []
    for name in sorted(amorph.__all__, key=str.lower):
        thing = getattr(amorph, name)
        if not inspect.ismodule(thing) and callable(thing):
            about = (inspect.getdoc(thing) or "").partition("\n")[0]
            rows.append((f"{{py:obj}}`~{_room_of(thing)}.{name}`", about))
    text += _table(("name", "what it does"), rows)
    for title, rooms in ROOMS.items():
        text += f"\n```{{toctree}}\n:caption: {title}\n:maxdepth: 1\n\n" + "\n".join(rooms) + "\n```\n"
    return text


def _room_of(thing):
    names = [f"amorph.{room}" for rooms in ROOMS.values() for room in rooms]
    fits = [name for name in names if thing.__module__ == name or thing.__module__.startswith(f"{name}.")]
    return max(fits, key=len)


def _api(room):
    name = f"amorph.{room}"
    exported = getattr(import_module(name), "__all__", None)
    members = f":members: {', '.join(exported)}" if exported else ":members:"
    return f"# {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   {members}\n```\n"


_KEPT_FROM_NAPOLEON = {"attribute", "property", "data"}
"""What napoleon would take the words before a colon for a type of."""
_kept = {}


def _give_back(app, what, name, thing, options, lines):
    """Put back what napoleon was not to touch."""
    if what in _KEPT_FROM_NAPOLEON:
        lines[:] = _kept.pop(name)


def _complete(app, what, name, thing, options, lines):
    """Say beside each parameter what it may be, as its signature has it."""
    if what in _KEPT_FROM_NAPOLEON:
        _kept[name] = lines[:]
    if what not in {"function", "class", "method"} or "Parameters" not in lines:
        return
    try:
        hints = inspect.get_annotations(inspect.unwrap(thing if what != "class" else thing.__init__))
        known = {key: about.kind for key, about in described(thing).items()}
    except Exception:  # what has no signature says nothing of itself
        return
    start = lines.index("Parameters") + 2
    for number in range(start, len(lines)):
        if number + 1 < len(lines) and set(lines[number + 1]) == {"-"}:
            break
        if not re.fullmatch(r"\w+(, \w+)*", lines[number]):
            continue
        key = lines[number].partition(",")[0]
        kind = known.get(key) or (stringify_annotation(hints[key], "smart") if key in hints else "")
        if kind:
            lines[number] += f" : {kind}"
