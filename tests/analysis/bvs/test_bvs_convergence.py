"""How the share of the window depends on its width and on the grid: the lines and the figures of the docs."""

import re
from pathlib import Path

import amorph

ROOT = Path(__file__).parents[3]


def test_the_lines_of_the_docs_give_the_figures_of_the_docs(capsys):
    text = (ROOT / "docs/bond_valence_maps.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert "(50, 100, 200)" in code
    [glass] = re.findall(r"`(tests/\S+glass.extxyz)`", text)
    exec(
        code.replace("(50, 100, 200)", "(20, 30, 40)"), {"amorph": amorph, "glass": amorph.read_structure(ROOT / glass)}
    )
    shares = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    prose = " ".join(text.split())
    assert f"it is {shares['40'][0]} % of the cell at w = 0.2 and {shares['40'][2]} % at 0.4" in prose
    assert "from {} to {} to {} %".format(*(shares[n][2] for n in ("20", "30", "40"))) in prose
