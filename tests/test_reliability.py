"""docs/reliability.md names a test for each of its claims; here they are looked up."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs/reliability.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([\w/]*test_\w+)`((?:(?:: |, )`(?!\w*test_)\w+`)*)", PAGE)


def test_the_page_names_tests():
    assert len(NAMED) > 30


@pytest.mark.parametrize(("file", "parts"), NAMED)
def test_what_the_page_names_is_there(file, parts):
    [path] = TESTS.rglob(f"{file}.py")
    names = re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for part in re.findall(r"\w+", parts):
        assert any(part in name for name in names), f"{file} has no test {part}"
