"""One version, told in one place, and told the same wherever a reader meets it."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def test_citation_and_changelog_are_of_this_version():
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), flags=re.MULTILINE)
    changed = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert (cited[1], changed[1]) == (VERSION, VERSION)


@pytest.mark.slow
def test_the_wheel_carries_the_examples(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True)
    [wheel] = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("structures", "workflows"):
        shipped = {f"amorph/examples/{folder}/{path.name}" for path in (ROOT / folder).iterdir() if path.is_file()}
        assert shipped <= names
    assert f"amorph-{VERSION}" in wheel.name
