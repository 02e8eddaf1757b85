"""Results show themselves: short, escaped, each in a form that a notebook keeps."""

import html
import json
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

import amorph
from amorph import figures
from amorph.report.notebook import html_of

MGO = bulk("MgO", "rocksalt", a=4.212, cubic=True)


@pytest.fixture(scope="module")
def energies():
    return amorph.bvse_map(MGO, "Mg2+", grid=(16, 16, 16))


def scene_of(text):
    """The scene of the page in the frame of a shown result."""
    (page,) = re.findall(r'srcdoc="(.*?)"', text, re.DOTALL)
    return json.loads(re.search(r'id="scenes">(.*?)</script>', html.unescape(page), re.DOTALL)[1])[0]


def test_a_map_shows_its_structure_and_its_surfaces(energies):
    text = energies._repr_html_()
    scene = scene_of(text)
    assert [element["symbol"] for element in scene["elements"] if element["mobile"]] == ["Mg"]
    assert len(scene["surfaces"][0]["levels"]) == 5
    assert text.count("<tr>") == 1 + len(energies.table())


def test_a_surface_and_a_path_show_their_cell(energies):
    level = energies.minimum + 1.0
    surface = amorph.isosurface(energies, value=level)
    assert surface.level == level
    for shown in (surface, amorph.migration_path(energies.field)):
        assert np.allclose(scene_of(shown._repr_html_())["cell"], MGO.cell.array)


def test_a_structure_shows_itself():
    assert [element["count"] for element in scene_of(html_of(MGO))["elements"]] == [4, 4]
    dummy, astray = MGO.copy(), MGO.copy()
    dummy.numbers[0], astray.positions[0] = 0, np.nan
    for shown in (Atoms("H2"), dummy, astray):
        assert "srcdoc" not in html_of(shown)


def test_a_long_table_is_cut_and_a_name_is_no_markup():
    report = amorph.structure_report(MGO, q_max=8.0)
    text = report.scattering._repr_html_()
    assert text.count("<tr>") == 21
    assert len(text) < 20_000
    assert f"{len(report.scattering.q) - 20} more rows" in text
    built = amorph.build("MgO", lattice_constant=4.2, supercell=(1, 1, 1), rng=0)
    object.__setattr__(built, "counts", {"<script>": 1})
    object.__setattr__(built, "deviation", {"<script>": 0.0})
    object.__setattr__(built, "oxidation_states", {"<script>": 2.0})
    assert "<script>" not in built._repr_html_().split("<iframe")[0]


def test_the_name_of_a_result_is_short(energies):
    made = amorph.structure_report(MGO, q_max=8.0)
    for result in (energies, made, made.scattering, amorph.free_volume(MGO), energies.field):
        assert len(repr(result)) <= 240
        assert repr(result).startswith(type(result).__name__)


def test_what_holds_a_curve_is_plotted():
    report = amorph.structure_report(MGO, q_max=8.0)
    plot = report.plot()
    assert [chart.name for chart in plot.charts] == ["radial", "scattering", "pair_function", "powder"]
    assert "data:image/png;base64," in report.pattern.plot()._repr_html_()
    assert not hasattr(amorph.build("MgO", lattice_constant=4.2, rng=0), "plot")


def test_a_seed_stands_for_its_generator():
    one, two = (
        amorph.build("Li2Ti1/3Mo2/3O3", lattice_constant=4.15, rng=rng) for rng in (3, np.random.default_rng(3))
    )
    assert one.atoms == two.atoms
    for wrong in (-1, True, 1.5):
        with pytest.raises(ValueError, match=f"seed = {wrong}"):
            amorph.build("MgO", lattice_constant=4.2, rng=wrong)


def test_values_and_windows_belong_to_their_maps(energies):
    with pytest.raises(ValueError, match="needs its value"):
        amorph.isosurface(energies)
    with pytest.raises(ValueError, match=r"window = 0\.4"):
        amorph.isosurface(energies, window=0.4)
    with pytest.raises(ValueError, match="value = 1"):
        amorph.isosurface(amorph.bvs_map(MGO, "Mg2+", grid=(8, 8, 8)), value=1.0)


def test_every_public_name_is_listed():
    listed = set(dir(amorph))
    rooms = {"analysis", "ensemble", "export", "figures", "progress", "reading", "report", "run", "structure", "tables"}
    assert rooms | {"diffusion", "migration_path", "voids", "voltage", "structure_report"} <= listed
    assert all(getattr(amorph, name) is not None for name in listed)


def test_a_structure_of_ase_is_registered_where_ipython_runs(monkeypatch):
    """IPython is told by the name of the type, and nobody else has to be."""
    told = {}
    formatter = SimpleNamespace(for_type_by_name=lambda module, name, shown: told.update({(module, name): shown}))
    shell = SimpleNamespace(display_formatter=SimpleNamespace(formatters={"text/html": formatter}))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    figures.shown_by("amorph.report.notebook")
    assert "srcdoc" in told["ase.atoms", "Atoms"](MGO)
