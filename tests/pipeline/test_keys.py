"""What is said of a study's keys is what the study does with them."""

import json
import tomllib

import pytest

from amorph.cli import main
from amorph.parameters import described, model_of
from amorph.pipeline import TABLES, explained, resolve, study_keys

KEYS = study_keys()
EVERY = [key for table in KEYS.values() for key in table]


def test_every_key_that_a_study_takes_is_there():
    for name, table in TABLES.items():
        named = {key.name.split(".")[1] for key in KEYS[name]}
        assert named == model_of(table.function).model_fields.keys() - table.fixed.keys()


@pytest.mark.parametrize("key", EVERY, ids=lambda key: key.name)
def test_every_key_has_a_meaning_and_says_what_it_may_be(key):
    assert key.about.meaning
    assert key.about.kind
    assert "`" not in key.about.meaning


def test_the_defaults_are_those_of_a_resolved_study():
    tables = {"build": {"composition": "MgO"}, "substitute": {"ion": "Mg2+", "by": "Zn2+"}, "bvse": {}}
    study = resolve(tables)
    said = {key.name: key.default for key in EVERY if key.name.count(".") == 1}
    for name, table in study.tables.items():
        for key, value in table.items():
            default = said[f"{name}.{key}"]
            if key in tables.get(name, {}) or name == "final_calculator" or key == "schedule":
                continue
            if default == "the ion that the exchange puts in":
                assert value == "Zn2+"
            elif default == "those of the study's elements":
                assert value == ("MgO",)
            else:
                stated = None if default == "not set" else tomllib.loads(f"value = {default}")["value"]
                assert stated == (list(value) if isinstance(value, tuple) else value)


def test_bounds_and_units_are_those_that_are_checked():
    for key, value, unit in (("checkpoint_minutes", -1.0, "min"), ("replicas", 1001, None)):
        about = described(TABLES["run"].function)[key]
        assert about.unit == unit
        assert about.bounds in {"at least 0", "from 1 to 1000"}
        with pytest.raises(ValueError, match=key):
            resolve({"build": {"composition": "MgO"}, "run": {key: value}})


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("bvs.spacing", ["bvs.spacing"]),
        ("spacing", ["bvs.spacing", "bvse.spacing", "voids.spacing"]),
        ("[control]", ["control.crystal", "control.crystal_limit"]),
        ("start_K", [f"{name}.schedule.segments.start_K" for name in ("melt_quench", "equilibrate", "anneal")]),
    ],
)
def test_a_key_is_found_by_name_by_table_and_alone(asked, names):
    assert [key.name for key in explained(asked)] == names


def test_the_command_line_explains_keys(capsys):
    assert main(["run", "--explain", "bvs.cutoff"]) == 0
    said = capsys.readouterr().out
    assert all(part in said for part in ("bvs.cutoff", "above 0", "[Å]", "6.0"))
    assert main(["run", "--explain", "bvs", "--json"]) == 0
    assert {row["key"] for row in json.loads(capsys.readouterr().out)} == {key.name for key in KEYS["bvs"]}
    assert main(["run", "--explain", "bvs.spacin"]) == 2
    assert "did you mean bvs.spacing?" in capsys.readouterr().err
    assert main(["run"]) == 2
    assert "--explain" in capsys.readouterr().err


def test_a_dry_run_finds_what_the_run_would(tmp_path, capsys):
    study = tmp_path / "a.toml"
    study.write_text(
        '[build]\ncomposition = "MgO"\nsupercell = [2, 2, 2]\nlattice_constant = 4.2\n[calculator]\nfactory = "a:b"\n'
        '[substitute]\nion = "Mg2+"\nby = "Xe2+"\n'
    )
    assert main(["run", str(study), "--dry-run"]) == 2
    assert "Xe2+" in capsys.readouterr().err
    many = tmp_path / "many.toml"
    many.write_text('[ensemble]\nstudy = "a.toml"\nmembers = 2\n')
    assert main(["ensemble", "run", str(many), "--dry-run"]) == 2
    assert "Xe2+" in capsys.readouterr().err
    study.write_text(study.read_text().replace("Xe2+", "Zn2+"))
    assert main(["ensemble", "run", str(many), "--dry-run", "--json"]) == 0
    assert [row["member"] for row in json.loads(capsys.readouterr().out)] == ["000_000", "000_001"]
    assert main(["ensemble", "run", str(many)]) == 2
    assert "--dir" in capsys.readouterr().err
    assert main(["run", str(study), "--time-factory"]) == 2
    assert "--dry-run" in capsys.readouterr().err


def test_a_dry_run_times_a_factory_when_it_is_asked_to(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text(
        '[build]\ncomposition = "Li2Ti1/3Mo2/3O3"\nsupercell = [2, 2, 2]\nlattice_constant = 4.2\n'
        '[calculator]\nfactory = "toys:Ions"\n'
    )
    assert main(["run", "a.toml", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] is None
    assert main(["run", "a.toml", "--dry-run", "--time-factory", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["seconds"] > 0) == ("Ions", True)
