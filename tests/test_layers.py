"""The layers of docs/architecture.md: imports go only downward, and heavy libraries stay in their rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "amorph"

LAYERS = [
    {
        "units",
        "parameters",
        "tables",
        "neighbors",
        "structure",
        "fields",
        "progress",
        "calculators",
        "gathering",
        "kernel_cache",
        "evaluation",
        "repulsion",
        "crystals",
        "durable",
    },
    {"rocksalt", "substitution", "chgnet", "analysis", "export", "reading"},
    {"schedule", "barostat", "stability", "dynamics", "meltquench", "deformation", "minimizer", "relaxation"},
    {"locking", "runlog", "run"},
    {"study", "recording", "measuring", "stages", "melting", "summary", "estimate", "pipeline"},
    {"ensemble"},
    {"cli", "__main__", "__init__"},
]
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

# One room, one library: who may import what is heavy or guarded.
ONLY_IN = {
    "torch": {"chgnet"},
    "chgnet": {"chgnet"},
    "vtkmodules": {"tests"},
    "pyvoro2": {"tests"},
    "parsl": {"ensemble"},
}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "amorph":
                found |= {f"amorph.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_only_downward(path):
    room = room_of(path)
    assert room in RANK, f"{room} has no layer: give it one here and in docs/architecture.md"
    for module in imports_of(path):
        top, *rest = module.split(".")
        if top == "amorph" and rest and rest[0] in RANK and rest[0] != room:
            assert RANK[rest[0]] <= RANK[room], f"{room} imports {module} from a layer above"
        if top in ONLY_IN and room not in ONLY_IN[top]:
            pytest.fail(f"{room} imports {module}, which belongs to {ONLY_IN[top]}")
    if room == "analysis":
        assert not any(module.startswith("amorph.chgnet") for module in imports_of(path))


def test_import_loads_nothing_heavy():
    heavy = ["torch", "chgnet", "pymatgen", "numba", "vtkmodules", "matplotlib", "scipy"]
    code = f"import sys, amorph; sys.exit(','.join(m for m in {heavy!r} if m in sys.modules) or 0)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
