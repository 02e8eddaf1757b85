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
        # decimal commas where something else parts the columns
        ("1 0,37218\n2 0,40592\n", [[1.0, 0.37218], [2.0, 0.40592]]),
        ("10,50\t1000\n11,00\t900\n", [[10.5, 1000.0], [11.0, 900.0]]),
        ("1;2\n1,5;3\n", [[1.0, 2.0], [1.5, 3.0]]),
        ("1 2 0,5\n2 3 1,250\n", [[1.0, 2.0, 0.5], [2.0, 3.0, 1.25]]),
        ("1 1,250\n2 0,750\n", [[1.0, 1.25], [2.0, 0.75]]),
        ("10.00, 1000,\n10.50, 900,\n", [[10.0, 1000.0], [10.5, 900.0]]),
        ("10.00,1000,,\n10.50,900,,\n", [[10.0, 1000.0], [10.5, 900.0]]),
        ("1\t2\t3\n2\t3\t4\n", [[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]),
        # names choose
        ("i,q,S\n0,1.5,0.3\n1,2.5,0.4\n", [[1.5, 0.3], [2.5, 0.4]]),
        ("#L q S dq dS\n1 2 0 0.1\n2 3 0 0.2\n", [[1.0, 2.0, 0.1], [2.0, 3.0, 0.2]]),
        ("# run 5\nq (1/Å),S(q),err\n1.0,2,0.1\n2.0,3,0.2\n", [[1.0, 2.0, 0.1], [2.0, 3.0, 0.2]]),
        ("Intensity; 2θ [°]\n7;10,5\n8;11,5\n", [[10.5, 7.0], [11.5, 8.0]]),
        ("two_theta_deg,intensity,fit\n1.0,2,9\n2.0,3,9\n", [[1.0, 2.0], [2.0, 3.0]]),
        ("q,S,error\n1,2,3\n2,3,4\n", [[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]),
        ("q S_obs S_calc\n1 2 9\n2 3 9\n", [[1.0, 2.0], [2.0, 3.0]]),
        ("# q S_calc S_obs err\n1 9 2 0.1\n2 9 3 0.2\n", [[1.0, 2.0, 0.1], [2.0, 3.0, 0.2]]),
        ("q S foo\n1 2 9\n2 3 9\n", [[1.0, 2.0], [2.0, 3.0]]),
        ("q d S\n1 9 2\n2 8 3\n", [[1.0, 2.0], [2.0, 3.0]]),
        ("i,Q/Å-1,S/1\n0,1.5,0.3\n1,2.5,0.4\n", [[1.5, 0.3], [2.5, 0.4]]),
        ("q (1/Å)  S(q)\n1 2\n2 3\n", [[1.0, 2.0], [2.0, 3.0]]),
        # prose that happens to have as many words
        ("glass of 12 nm\n0.5 1.0\n1.0 2.0\n", [[0.5, 1.0], [1.0, 2.0]]),
        ("S of q\n0.5 1.0 0.1\n1.0 2.0 0.2\n", [[0.5, 1.0, 0.1], [1.0, 2.0, 0.2]]),
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
        ("1.5 1,000\n2.5 2,000\n", "1,000"),
        ("1 1,000\n2 2,000\n", "1,000"),
        ("0,5, 1,0\n1,0, 2,0\n", "0,5, 1,0"),
        ("0,5,1,0\n1,0,2,0\n", "comma"),
        ("10,5,1000\n11,0,1000\n", "comma"),
        ("0,5 1,0\n1,2\n", "comma"),
        ("1.0,,3\n2.0,,4\n", "0 rows"),
        ("i,foo,bar\n0,1.5,0.3\n1,2.5,0.4\n", "i, foo, bar"),
        ("2theta,q,I\n0,1.5,0.3\n1,2.5,0.4\n", "2theta, q, I"),
        ("theta,I\n5,3\n6,4\n", "theta; .*2theta"),
        ("# theta [deg] counts err\n5 3 1\n6 4 1\n", "theta; .*2theta"),
        ("d,I\n5,3\n6,4\n", "d; .*2π/d"),
        ("d I_raw\n5 3\n6 4\n", "d; .*2π/d"),
        ("d_A\tI\n5\t3\n6\t4\n", "d_A; .*2π/d"),
        ("q[nm-1] S\n5 3\n6 4\n", "nm.*1/Å"),
        ("q (nm^-1) S(q)\n5 3\n6 4\n", "nm.*1/Å"),
        ("# Q/nm-1,S\n5,3\n6,4\n", "nm.*1/Å"),
        ("Q [1/nm];S\n5;3\n6;4\n", "nm.*1/Å"),
        ("q_per_nm\tS\n5\t3\n6\t4\n", "nm.*1/Å"),
        ("# q in nm⁻¹\n5 3\n6 4\n", "nm.*1/Å"),
        ("r (nm) G\n5 3\n6 4\n", "nm.*Å"),
        ("q S\n1/nm a.u.\n5 3\n6 4\n", "nm.*1/Å"),
        ("q S_glass S_crystal\n0 1.5 0.3\n1 2.5 0.4\n", "S_glass"),
        ("q,S_glass,S_crystal\n0,1.5,0.3\n1,2.5,0.4\n", "S_glass"),
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
