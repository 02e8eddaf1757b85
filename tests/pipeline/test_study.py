"""A study: the TOML file, checked and completed."""

import inspect
from pathlib import Path

import pytest

from amorph.meltquench import named
from amorph.meltquench.schedule import KAWAGUCHI2025, KAWAGUCHI2025_EQUILIBRATE
from amorph.pipeline import read_study, resolve
from amorph.pipeline.study import TABLES

FILES = sorted((Path(__file__).parents[2] / "workflows").glob("*.toml"))
WORKFLOWS = [path for path in FILES if "[ensemble]" not in path.read_text()]
LEAST = {"build": {"composition": "MgO", "lattice_constant": 4.2}}


def read(tmp_path, text):
    path = tmp_path / "study.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_study(path)


# what is left out


def test_every_parameter_of_every_stage_has_its_default():
    study = resolve(LEAST)
    assert study.seed == 0
    for name, table in TABLES.items():
        if table.optional:
            assert study[name] == {}
            continue
        defaults = {
            key: parameter.default
            for key, parameter in inspect.signature(table.function).parameters.items()
            if parameter.default is not parameter.empty and key in study[name]
        } | dict(table.defaults)
        given = {"ion": "Mg2+", "oxides": ("MgO",), **LEAST.get(name, {})}
        for key, value in study[name].items():
            if key == "schedule":
                assert value == named(defaults[key])
            else:
                assert value == given.get(key, defaults.get(key)) or (name, key) == ("substitute", "ion"), (name, key)
    assert study["substitute"]["ion"] == "Li+"


def test_the_two_calculators_are_one_unless_told_otherwise():
    one = {**LEAST, "calculator": {"model": "r2scan"}}
    assert resolve(one)["final_calculator"]["model"] == "r2scan"
    two = resolve({**one, "final_calculator": {"device": "cpu"}})
    assert (two["calculator"]["device"], two["final_calculator"]["device"]) == (None, "cpu")
    assert two["final_calculator"]["model"] == "r2scan"
    other = resolve({**one, "final_calculator": {"factory": "module:function"}})
    assert other["final_calculator"]["model"] is None  # another factory has keys of its own


@pytest.mark.parametrize(
    ("composition", "exchange", "oxides"),
    [
        ("Li2Ti1/3Mo2/3O3", {}, ("MgO", "MoO2", "TiO2_rutile", "Li2TiO3")),
        ("Li2Ti1/3Mo2/3O3", {"by": "vacancy"}, ("MoO2", "TiO2_rutile", "Li2TiO3")),
        ("LiCoO2", {"by": "vacancy"}, ("LiCoO2",)),
        ("Na2ZrO3", {"ion": "Na+", "by": "Ca2+"}, ()),
    ],
)
def test_the_reference_crystals_follow_the_chemistry(composition, exchange, oxides):
    build = {"composition": composition, "lattice_constant": 4.2}
    assert resolve({"build": build, "substitute": exchange})["reference"]["oxides"] == oxides
    named = resolve({"build": build, "substitute": exchange, "reference": {"oxides": ["TiO2_rutile"]}})
    assert named["reference"]["oxides"] == ("TiO2_rutile",)


def test_a_crystal_of_ones_own_is_a_file(tmp_path):
    file = tmp_path / "own.cif"
    file.write_text("data_own")
    study = resolve({**LEAST, "reference": {"oxides": ["MgO", str(file)]}})
    assert study.reference_files == [file]


def test_the_relaxations_differ_in_their_cell():
    study = resolve(LEAST)
    assert [study[name]["cell"] for name in ("starting_relax", "relax", "final_relax")] == [
        "isotropic",
        "isotropic",
        "free",
    ]


@pytest.mark.parametrize(
    ("exchange", "ion"),
    [
        ({}, "Mg2+"),
        ({"ion": "Na+", "by": "Ca2+"}, "Ca2+"),
        ({"ion": "Na+", "by": "vacancy"}, "Na+"),
    ],
)
def test_what_moves_in_is_what_is_mapped(exchange, ion):
    study = resolve({**LEAST, "substitute": exchange})
    assert study["bvs"]["ion"] == ion
    assert study["free_volume"]["ion"] == ion


def test_another_ion_may_be_mapped():
    assert resolve({**LEAST, "bvs": {"ion": "Li+"}})["bvs"]["ion"] == "Li+"


def test_a_named_schedule_is_resolved_to_its_segments():
    study = resolve(LEAST)
    assert study["melt_quench"]["schedule"] == KAWAGUCHI2025
    assert study["equilibrate"]["schedule"] == KAWAGUCHI2025_EQUILIBRATE


def test_a_schedule_may_be_written_out(tmp_path):
    study = read(
        tmp_path,
        """
        build = { composition = "MgO", lattice_constant = 4.2, supercell = [2, 2, 3] }
        [melt_quench]
        schedule.timestep_fs = 2
        schedule.segments = [{ name = "a", ensemble = "NVT", start_K = 300, end_K = 900, duration_ps = 1 }]
        """,
    )
    assert study["build"]["supercell"] == (2, 2, 3)
    schedule = study["melt_quench"]["schedule"]
    assert (schedule.steps, schedule.target_K(250), schedule.damping_time_ps) == (500, 600.0, 0.02)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_workflow_is_a_study(path):
    assert read_study(path)["run"]["title"]


# errors


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, r"the table \[build\] is missing; every study needs it"),
        ({"bulid": {}, **LEAST}, r"unknown table \[bulid\]; did you mean \[build\]\?"),
        ({"snapshots": {"discard_ps": 1.0}, "bvse": {}, **LEAST}, r"\[bvse\] asks for what comes after the melt"),
        ({"xyzzy": {}, **LEAST}, r"unknown table \[xyzzy\]; known tables are run, calculator, "),
        ({"seed": 3, **LEAST}, r"seed = 3 stands outside a table; write it below a header such as \[run\]"),
        ({"run": 3, **LEAST}, r"run = 3 stands outside a table; write it below a header such as \[run\]"),
        ({"run": [{"seed": 1}], **LEAST}, r"run = .* stands outside a table"),
        ({"build": {"compositon": "MgO"}}, r"unknown key 'compositon' in \[build\]; did you mean 'composition'\?"),
        ({"build": {"lattice_constant": 4.2}}, r"'composition' is missing in \[build\]"),
        ({**LEAST, "run": {"seed": "zero"}}, r"seed = 'zero' in \[run\] must be a valid integer"),
        ({**LEAST, "run": {"seed": -1}}, r"seed = -1 in \[run\] must be greater than or equal to 0"),
        ({**LEAST, "run": {"replicas": 0}}, r"replicas = 0 in \[run\] must be greater than or equal to 1"),
        ({**LEAST, "run": {"checkpoint_minutes": float("nan")}}, r"checkpoint_minutes = nan min in \[run\] must be"),
        ({**LEAST, "relax": {"fmax": -0.1}}, r"fmax = -0\.1 eV/Å in \[relax\] must be greater than 0"),
        ({**LEAST, "relax": {"atoms": 1}}, r"unknown key 'atoms' in \[relax\]"),
        ({**LEAST, "relax": {"cell": "loose"}}, r"cell = 'loose' in \[relax\] must be .* \(default 'isotropic'\)"),
        ({**LEAST, "bvs": {"cutoff": -6.0}}, r"cutoff = -6\.0 Å in \[bvs\] must be greater than 0"),
        ({**LEAST, "bvs": {"grid": [0, 10, 10]}}, r"grid\[0\] = 0 in \[bvs\] must be greater than 0"),
        ({**LEAST, "reference": {"oxides": ["SrO"]}}, r"names SrO, which is no file and no crystal of the table: MgO"),
        ({**LEAST, "anneal": {"sample_every": 5}}, r"'schedule' is missing in \[anneal\]; give it a value"),
        ({**LEAST, "anneal": {"schedule": 5}}, r"schedule = 5 in \[anneal\] must be a table of its keys$"),
        ({**LEAST, "anneal": {"schedule": {"segments": 5}}}, r"schedule\.segments = 5 in \[anneal\] must be a list$"),
        ({**LEAST, "export": {"meshes": ["step"]}}, r"meshes\[0\] = 'step' in \[export\] must be 'ply'"),
        ({**LEAST, "control": {"crystal": "maybe"}}, r"crystal = 'maybe' in \[control\]"),
        ({**LEAST, "vasp": {"directory": "/tmp"}}, r"unknown key 'directory' in \[vasp\]; the run directory"),
        ({**LEAST, "melt_quench": {"schedule": "kawaguchi"}}, r"did you mean 'kawaguchi2025.*\(in \[melt_quench\]\)"),
        ({**LEAST, "melt_quench": {"sample_every": 9999}}, r"leaves 1 frames in .*: take at most 500 \(in \[melt_q"),
        (
            {**LEAST, "melt_quench": {"schedule": {"segments": [{"name": "a", "temperatur_K": 3}]}}},
            r"temperatur_K.* in \[melt_quench\]",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(content, said):
    with pytest.raises(ValueError, match=said) as caught:
        resolve(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"the table \[build\] is missing"),
        (b"just words", "is no TOML file: Expected '='"),
        (b"[build]\n[build]\n", "is no TOML file: Cannot declare"),
        (b"\x00\x01\x02", "is no TOML file: "),
        (bytes(range(256)), "is no TOML file: "),
        (b"\x89PNG\r\n\x1a\n", "is no TOML file: "),
        (b"a = " + b"[" * 20_000, "nests more than 32 tables and lists"),
        (b"seed = 3\n[build]\n", r"seed = 3 stands outside a table; write it below a header such as \[run\]"),
    ],
)
def test_rubbish_is_refused_by_the_name_of_its_file(tmp_path, content, said):
    with pytest.raises(ValueError, match=said) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'study.toml'}")
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none\.toml does not exist; give a study's TOML file"):
        read_study(tmp_path / "none.toml")
    with pytest.raises(ValueError, match="is a directory; give a study's TOML file"):
        read_study(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"study\.toml cannot be read: Not a directory; give a study"):
        read_study(tmp_path / "file" / "study.toml")


@pytest.mark.parametrize(
    ("table", "other"), [("relax", {}), ("final_relax", {}), ("vasp", {"final_relax": {"cell": "fixed"}})]
)
def test_a_format_of_right_angles_is_refused_where_the_cell_may_lose_them(table, other):
    chosen = LEAST | {"export": {"fields": ["vti"]}, "final_relax": {"cell": "isotropic"}}
    assert resolve(chosen)["export"]["fields"] == ("vti",)
    freed = {} if table == "vasp" else {"cell": "free"}
    with pytest.raises(ValueError, match=rf"vti, which holds right angles only, and \[{table}\] leaves the cell free"):
        resolve(chosen | other | {table: freed})


def test_more_replicas_than_anyone_needs_are_refused():
    with pytest.raises(ValueError, match=r"replicas = 1000000 in \[run\] must be less than or equal to 1000"):
        resolve(LEAST | {"run": {"replicas": 1_000_000}})
