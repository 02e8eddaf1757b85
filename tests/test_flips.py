"""A bit of any file of a run directory that is another is told or without effect."""

import pytest
from flipping import Flips


@pytest.fixture(scope="module")
def flips(tmp_path_factory):
    with Flips(tmp_path_factory.mktemp("flips"), seed=0) as flips:
        yield flips


@pytest.mark.parametrize("number", [12, pytest.param(300, marks=pytest.mark.slow)])
def test_a_flipped_bit_of_any_file_is_told_or_without_effect(flips, number):
    told = sum(flips(*flip) for flip in flips.drawn(number))
    assert told > number / 2
