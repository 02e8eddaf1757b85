"""What verbs and runs are to be cited with."""

import json
import re

import pytest

from amorph.cli import VERBS
from amorph.report import VERBS as RESTS_ON, bibtex


def test_every_verb_can_be_cited_and_every_entry_is_whole(amorph):
    assert RESTS_ON.keys() <= set(VERBS)
    for verb in RESTS_ON:
        entries = amorph("cite", verb).out.strip().split("\n\n")
        assert len(entries) == len(RESTS_ON[verb]) + 1
        for entry in entries[1:]:
            assert re.match(r"@article\{\w+,\n", entry)
            assert {"title", "author", "journal", "year", "doi"} <= set(re.findall(r"^  (\w+) +=", entry, re.MULTILINE))
            assert entry.count("{") == entry.count("}")


def test_an_entry_is_given_once(amorph):
    assert bibtex(["brown1985", "brown1985"]).count("@article") == 1
    told = json.loads(amorph("cite", "bvse", "percolation", "--json").out)
    assert told["keys"] == ["amorph", "chen2019", "cordero2008"]


def test_without_a_name_amorph_and_the_study_behind_it_are_cited(amorph):
    assert re.findall(r"@\w+\{(\w+),", amorph("cite").out) == ["amorph", "kawaguchi2025"]


@pytest.mark.parametrize(("name", "told"), [("bvss", "did you mean bvs?"), ("nowhere", "'nowhere'"), (".", "summary")])
def test_what_is_neither_is_one_line(amorph, name, told):
    called = amorph("cite", name)
    assert (called.status, called.err.count("\n")) == (2, 1)
    assert told in called.err
