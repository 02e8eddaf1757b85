"""What a file of a stranger can make amorph do: nothing but be read."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "amorph"
FILES = sorted(PACKAGE.rglob("*.py"))
WEIGHTS = PACKAGE / "chgnet" / "weights.py"  # its unpickler imports and calls nothing: tests/chgnet/test_weights.py
CODE = {"eval", "exec", "compile", "__import__"}
MODULES = {"yaml", "ruamel", "shelve", "marshal", "dill", "joblib", "urllib", "requests", "http", "ftplib", "smtplib"}


def faults(text, *, may_unpickle=False):
    """Name the calls and imports that would run what a file says, or reach beyond this machine."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            tops = {module.split(".")[0] for module in modules}
            found += sorted(tops & (MODULES if may_unpickle else MODULES | {"pickle"}))
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in CODE or name.endswith("os.system") or keywords.get("shell") == "True":
            found.append(name)
        if name in {"np.load", "numpy.load"} and keywords.get("allow_pickle") != "False":
            found.append(f"{name} without allow_pickle=False")
        if name == "torch.load" and keywords.get("weights_only") != "True":
            found.append("torch.load without weights_only=True")
        if keywords.get("allow_pickle") == "True":
            found.append(f"{name} with allow_pickle=True")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_source_runs_what_a_file_says(path):
    assert faults(path.read_text(encoding="utf-8"), may_unpickle=path == WEIGHTS) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import pickle", "pickle"),
        ("from yaml import load", "yaml"),
        ("import numpy as np\nnp.load(path)", "np.load without allow_pickle=False"),
        ("np.save(path, x, allow_pickle=True)", "np.save with allow_pickle=True"),
        ("import torch\ntorch.load(path)", "torch.load without weights_only=True"),
        ("eval(text)", "eval"),
        ("subprocess.run(text, shell=True)", "subprocess.run"),
        ("import urllib.request", "urllib"),
    ],
)
def test_the_search_finds_what_it_looks_for(text, fault):
    assert faults(text) == [fault]
