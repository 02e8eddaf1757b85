"""A finished run of a toy of ions, whose title would like to be a script."""

import json

import pytest
from toy_run import BRIEF

from amorph.pipeline import read_study, run_study

HOSTILE = '</script><script>window.taken = 1</script><img src=x onerror="window.taken = 1"> {{ 7 * 7 }} & Li₂O'


@pytest.fixture(scope="session")
def hostile():
    return HOSTILE


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The directory of the run."""
    folder = tmp_path_factory.mktemp("finished")
    text = BRIEF.replace('"Li2Ti1/3Mo2/3O3, a toy"', json.dumps(HOSTILE, ensure_ascii=False))
    (folder / "study.toml").write_text(text + "[bvse]\nspacing = 0.5\n", encoding="utf-8")
    run_study(read_study(folder / "study.toml"), folder / "run")
    return folder / "run"
