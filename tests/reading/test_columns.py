import numpy as np
import pytest

from amorph.reading import read_columns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# q S(q)\n0.5 1.0\n1.0\t2.0\n", [[0.5, 1.0], [1.0, 2.0]]),
        ("q,S,error\n0.5,1.0,0.1\n1.0,2.0,0.2\n", [[0.5, 1.0, 0.1], [1.0, 2.0, 0.2]]),
        ("q;S\n0,5;1,0\n1,0;2,0\n", [[0.5, 1.0], [1.0, 2.0]]),
        ("0,5 1,0\n1,0  2,0\n", [[0.5, 1.0], [1.0, 2.0]]),
        ("0.5, 1.0\n1.0, 2.0\n", [[0.5, 1.0], [1.0, 2.0]]),
        ("1, 2, 3\n2, 3, 4\n", [[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]),
        (
            "Sample: glass 3\n12.5 keV\n! two theta\n\n0.5 1.0D+00 # first\n1.0 -2e0\n\n# end\n",
            [[0.5, 1.0], [1.0, -2.0]],
        ),
        ("\ufeff1.0 2.0\n0.5 1.0\n", [[0.5, 1.0], [1.0, 2.0]]),
        ("0.5 1.0 0.0\r\n1.0 2.0 0.0\r\n", [[0.5, 1.0], [1.0, 2.0]]),
    ],
)
def test_reads_what_people_write(tmp_path, text, expected):
    path = tmp_path / "curve.dat"
    path.write_text(text, encoding="utf-8")
    np.testing.assert_array_equal(read_columns(path), expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.5 1.0\n1.0 two\n", "line 2"),
        ("0.5 1.0\n1.0\n", "line 2"),
        ("0.5 1.0\n1.0 2.0 3.0\n", "3 columns"),
        ("1 2 3 4\n2 3 4 5\n", "4 columns"),
        ("0.5 1.0\n0.5 2.0\n", r"x = 0\.5"),
        ("0.5 1.0\n1.5 1.0\n1.0 2.0\n", r"x = 1 "),
        ("0.5 1.0 0.1\n1.0 2.0 -0.1\n", r"-0\.1"),
        ("0.5 1.0 0.1\n1.0 2.0 0\n", "error 0"),
        ("no numbers\n", "0 rows"),
        ("0.5 1e999\n1.0 2.0\n", "too large"),
        ("0.5 nan\n1.0 nan\n", "0 rows"),
    ],
)
def test_what_is_refused(tmp_path, text, said):
    path = tmp_path / "curve.dat"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_columns(path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_columns(tmp_path / "absent.dat")
    (tmp_path / "empty.dat").touch()
    with pytest.raises(ValueError, match="empty"):
        read_columns(tmp_path / "empty.dat")
    (tmp_path / "binary.dat").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(ValueError, match=r"binary\.dat"):
        read_columns(tmp_path / "binary.dat")
