"""The examples that the package carries, copied out."""

import json
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("structures", "workflows")


def test_every_example_is_copied_and_what_is_there_is_kept(amorph, tmp_path):
    assert amorph("examples", "new/folder").status == 0
    for folder in FOLDERS:
        for path in (ROOT / folder).iterdir():
            if path.is_file():
                assert (tmp_path / "new/folder" / folder / path.name).read_bytes() == path.read_bytes()
    (tmp_path / "new/folder/structures/MgO.cif").unlink()
    told = json.loads(amorph("examples", "new/folder", "--json").out)
    assert told["written"] == ["structures/MgO.cif"]
    assert "workflows/quickstart.toml" in told["kept"]


def test_another_file_of_the_name_is_refused_before_anything_is_written(amorph, tmp_path):
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows/quickstart.toml").write_text("mine")
    called = amorph("examples")
    assert (called.status, called.err.count("\n")) == (2, 1)
    assert "workflows/quickstart.toml" in called.err
    assert not (tmp_path / "structures").exists()
    assert amorph("examples", "workflows/quickstart.toml").status == 2


def test_a_file_where_a_folder_belongs_is_refused_before_anything_is_written(amorph, tmp_path):
    (tmp_path / "workflows").write_text("mine")
    for folder in (".", "workflows", "workflows/inside"):
        called = amorph("examples", folder)
        assert (called.status, called.err.count("\n")) == (2, 1)
        assert "workflows is a file" in called.err
    assert [path.name for path in tmp_path.iterdir()] == ["workflows"]
