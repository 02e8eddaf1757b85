"""Frames of trajectories by one rule, and what POSCAR, XDATCAR, extended XYZ and LAMMPS are written like."""

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from amorph.export import write_structures
from amorph.reading import read_structure, read_trajectory
from amorph.reading.files import RefusedError, sound
from amorph.reading.frames import vectors

POSITIONS = [[0, 0, 0], [0.5, 0.5, 0.25], [0.125, 0.5, 0.75]]
EDGES = (4.0, 5.0, 6.0)
"""Three atoms, Mg O O, in an orthogonal cell; frame k is moved by k/100 of it."""


def fractions(k):
    return np.array(POSITIONS) + 0.01 * k


def xyz(k):
    rows = "".join(
        f"{e} {x:.6f} {y:.6f} {z:.6f}\n" for e, (x, y, z) in zip(["Mg", "O", "O"], fractions(k) * EDGES, strict=True)
    )
    return f'3\nLattice="4 0 0 0 5 0 0 0 6"\n{rows}'


def dump(k):
    rows = "".join(
        f"{n} {1 if n == 1 else 2} {e} {x:.6f} {y:.6f} {z:.6f}\n"
        for n, e, (x, y, z) in zip((1, 2, 3), ["Mg", "O", "O"], fractions(k) * EDGES, strict=True)
    )
    return (
        f"ITEM: TIMESTEP\n{k}\nITEM: NUMBER OF ATOMS\n3\nITEM: BOX BOUNDS pp pp pp\n0 4\n0 5\n0 6\n"
        f"ITEM: ATOMS id type element x y z\n{rows}"
    )


def vasp_header(scale="1.0", edges=EDGES, names="Mg O", counts="1 2", title="title"):
    lattice = "".join(" ".join(f"{a:.6f}" for a in row) + "\n" for row in np.diag(edges))
    return f"{title}\n{scale}\n{lattice}" + (f"{names}\n" if names else "") + f"{counts}\n"


def coordinates(k, end="\n"):
    return "".join(" ".join(f"{x:.6f}" for x in row) + end for row in fractions(k))


def xdatcar(k):
    return (vasp_header() if k == 0 else "") + f"Direct configuration= {k + 1:5d}\n" + coordinates(k)


FORMATS = {"a.extxyz": xyz, "a.lammpstrj": dump, "XDATCAR": xdatcar}
each_format = pytest.mark.parametrize(("name", "frame"), FORMATS.items(), ids=FORMATS)


@pytest.fixture
def frames(tmp_path):
    def frames(name, text, **options):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        found = read_trajectory(tmp_path / name, **options)
        assert read_structure(tmp_path / name, **options) == found[-1]
        assert read_structure(tmp_path / name, index=0, **options) == found[0]
        return found

    return frames


def are_first(found, number):
    assert len(found) == number
    for k, atoms in enumerate(found):
        assert str(atoms.symbols) == "MgO2"
        assert atoms.cell.array == pytest.approx(np.diag(EDGES), abs=1e-9)
        assert atoms.positions == pytest.approx(fractions(k) * EDGES, abs=1e-5)


@each_format
@pytest.mark.parametrize("between", ["", "\n", "  \n\n\t\n"])
def test_blank_lines_between_and_behind_frames_mean_nothing(frames, name, frame, between, caplog):
    are_first(frames(name, between.join(map(frame, range(3))) + between), 3)
    assert not caplog.records


@each_format
def test_an_unfinished_last_frame_is_left_out_wherever_it_ends(frames, name, frame, caplog):
    whole, last = frame(0) + frame(1), frame(2)
    for cut in range(1, len(last) - 1, 7):
        caplog.clear()
        found = frames(name, whole + last[:cut])
        are_first(found, 2)
        assert bool(caplog.records) is bool(last[:cut].strip())


@each_format
def test_the_first_frame_must_be_whole(frames, name, frame):
    with pytest.raises(ValueError, match=name):
        frames(name, frame(0)[:-20])


@each_format
@pytest.mark.parametrize("what", ["something else\nand more\nand more\n", "1 2\n", "4.0 x 5\n0 0 0\n"])
def test_anything_else_between_frames_is_an_error(frames, name, frame, what):
    with pytest.raises(ValueError, match=name):
        frames(name, frame(0) + what + frame(1))


@each_format
def test_a_frame_broken_off_within_is_an_error(frames, name, frame):
    broken = "".join(frame(1).splitlines(keepends=True)[:-1])
    with pytest.raises(ValueError, match=name):
        frames(name, frame(0) + broken + frame(2) + frame(3))


@each_format
def test_a_promise_of_many_atoms_takes_no_time(frames, name, frame):
    counts = {"a.extxyz": ("3\n", "1000000000000\n"), "a.lammpstrj": ("ATOMS\n3\n", "ATOMS\n1000000000000\n"),
              "XDATCAR": ("1 2\n", "1 1000000000000\n")}  # fmt: skip
    with pytest.raises(ValueError, match="counts 100000000000"):
        frames(name, frame(0).replace(*counts[name]))
    if name != "XDATCAR":
        with pytest.raises(ValueError, match="counts 100000000000"):
            frames(name, frame(0) + frame(1).replace(*counts[name]))


def test_a_data_file_of_lammps_promises_no_more_atoms_than_lines(frames):
    text = "x\n\n1000000000000 atoms\n1 atom types\n\n0 4 xlo xhi\n0 4 ylo yhi\n0 4 zlo zhi\n\nAtoms\n\n1 1 0 0 0\n"
    with pytest.raises(ValueError, match="counts 1000000000000 atoms"):
        frames("a.lmp", text, elements=["Mg"])


@each_format
def test_a_byte_order_mark_and_the_line_ends_of_windows(frames, name, frame):
    text = "".join(map(frame, range(2)))
    are_first(frames(name, b"\xef\xbb\xbf" + text.encode()), 2)
    are_first(frames(name, text.replace("\n", "\r\n")), 2)
    are_first(frames(name, text.encode("utf-16")), 2)


# what a dump of LAMMPS says of when and where

BOX = np.array([[4.0, 0, 0], [0.5, 5.0, 0], [-0.75, 0.25, 6.0]])
ORIGIN = np.array([1.0, -2.0, 0.5])
WRITTEN = {"x": lambda f: f % 1 @ BOX + ORIGIN, "xs": lambda f: f % 1, "xu": lambda f: f @ BOX + ORIGIN,
           "xsu": lambda f: f, "ix": lambda f: np.floor(f).astype(int)}  # fmt: skip
"""Columns of each kind, by their first, of fractional coordinates that go on beyond the faces of the cell."""


def skewed_dump(k, kinds):
    """Frame k of three atoms that leap 0.7 of the cell along a, −1.3 along b and 0.45 along c, listed backwards."""
    f = np.array(POSITIONS) + 0.01 + k * np.diag([0.7, -1.3, 0.45])
    low = ORIGIN - np.array([0.75, 0, 0])  # the bounds of LAMMPS hold the tilted cell
    high = ORIGIN + np.diag(BOX) + np.array([0.5, 0.25, 0])
    bounds = "".join(f"{a} {b} {t}\n" for a, b, t in zip(low, high, (0.5, -0.75, 0.25), strict=True))
    names = " ".join(kind.replace("x", axis) for kind in kinds for axis in "xyz")
    rows = [
        f"{n + 1} {'MOO'[n].replace('M', 'Mg')} {' '.join(str(x) for kind in kinds for x in WRITTEN[kind](f)[n])}\n"
        for n in (2, 1, 0)
    ]
    return (
        f"ITEM: TIME\n{0.5 * k}\nITEM: TIMESTEP\n{10 * k}\nITEM: NUMBER OF ATOMS\n3\n"
        f"ITEM: BOX BOUNDS xy xz yz pp pp pp\n{bounds}ITEM: ATOMS id element {names}\n{''.join(rows)}"
    )


@pytest.mark.parametrize(
    "kinds", [["x", "ix"], ["xs", "ix"], ["xu"], ["xsu"], ["x", "xu"], ["xs", "xu"], ["xu", "ix"], ["x", "xu", "ix"]],
    ids="+".join,
)  # fmt: skip
def test_a_dump_says_where_its_atoms_went(frames, kinds):
    found = frames("a.lammpstrj", "".join(skewed_dump(k, kinds) for k in range(4)))
    gone = np.array([atoms.arrays["unwrapped_positions"] - found[0].arrays["unwrapped_positions"] for atoms in found])
    leaps = np.diag([0.7, -1.3, 0.45]) @ BOX
    assert gone == pytest.approx(np.arange(4)[:, None, None] * leaps, abs=1e-9)
    for atoms in found:
        apart = atoms.cell.scaled_positions(atoms.arrays["unwrapped_positions"] - atoms.positions)
        assert apart == pytest.approx(np.round(apart), abs=1e-9)
        assert str(atoms.symbols) == "MgO2"
    assert [(atoms.info["timestep"], atoms.info["time"]) for atoms in found] == [(10 * k, 0.5 * k) for k in range(4)]


@pytest.mark.parametrize("kinds", [["x"], ["xs"]], ids="+".join)
def test_a_dump_without_images_says_no_more_than_where_its_atoms_are(frames, kinds):
    for atoms in frames("a.lammpstrj", "".join(skewed_dump(k, kinds) for k in range(4))):
        assert "unwrapped_positions" not in atoms.arrays


def test_a_structure_of_a_dump_has_no_past(tmp_path):
    (tmp_path / "a.lammpstrj").write_text(skewed_dump(3, ["x", "ix"]))
    assert "unwrapped_positions" not in read_structure(tmp_path / "a.lammpstrj").arrays


def test_what_is_read_goes_on_through_extended_xyz(frames, tmp_path):
    first = frames("a.lammpstrj", "".join(skewed_dump(k, ["x", "ix"]) for k in range(4)))
    write_structures(tmp_path / "b.extxyz", first)
    for before, after in zip(first, read_trajectory(tmp_path / "b.extxyz"), strict=True):
        assert after.arrays["unwrapped_positions"] == pytest.approx(before.arrays["unwrapped_positions"], abs=1e-7)
        assert (after.info["timestep"], after.info["time"]) == (before.info["timestep"], before.info["time"])


@each_format
def test_a_trajectory_is_parsed_as_it_is_read(frames, tmp_path, name, frame):
    """What the frames take, and not their text with it: of 400 frames of three atoms this is more."""
    (tmp_path / name).write_text("".join(map(frame, range(400))))
    read_trajectory(tmp_path / name)
    gc.collect()
    tracemalloc.start()
    kept = read_trajectory(tmp_path / name)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 400
    assert peak < 1.5 * now


# the header of VASP

SCALES = [("1.0", EDGES), ("2.0", (2.0, 2.5, 3.0)), ("-120.0", (2.0, 2.5, 3.0)), ("4 5 6", (1, 1, 1)), ("1.D0", EDGES)]
NAMES = [
    ("Mg O", "title"),
    ("Mg_pv O_s", "title"),
    ("Mg/8f3a0b O/77", "title"),
    ("Mg_pv/8f O", "title"),
    ("", "Mg O x"),
]


@pytest.mark.parametrize(("numbers", "steps"), [
    ((1, 2, 3), (1, 2, 3)),
    ((1, 2, 7), (1, 2, 7)),  # frames are missing
    ((10, 20, 10, 20, 10), (10, 20, 30, 40, 50)),  # files one behind the other
])  # fmt: skip
def test_the_numbers_of_an_xdatcar_count_its_steps(frames, numbers, steps):
    text = "".join(f"Direct configuration= {number:5d}\n{coordinates(k)}" for k, number in enumerate(numbers))
    found = frames("XDATCAR", vasp_header() + text)
    assert tuple(atoms.info["timestep"] for atoms in found) == steps


@pytest.mark.parametrize(("scale", "edges"), SCALES)
@pytest.mark.parametrize(("names", "title"), NAMES)
@pytest.mark.parametrize("name", ["POSCAR", "XDATCAR", "CHGCAR"])
def test_one_header_for_all_files_of_vasp(frames, name, scale, edges, names, title):
    head = vasp_header(scale, edges, names, title=title)
    grid = "\n 2 2 2\n" + 8 * "0.5 " + "\n" if name == "CHGCAR" else ""
    are_first(frames(name, head + "Direct\n" + coordinates(0) + grid), 1)


@pytest.mark.parametrize("names", ["Mg Xx", "Mg", ""])
@pytest.mark.parametrize("name", ["POSCAR", "XDATCAR"])
def test_elements_that_are_not_named_are_not_invented(frames, name, names):
    with pytest.raises(ValueError, match=r"names no elements|is no POSCAR|does not begin"):
        frames(name, vasp_header(names=names) + "Direct\n" + coordinates(0))


@pytest.mark.parametrize("counts", ["0", "000", "0 0"])
def test_a_header_of_no_atoms_ends_the_reading(frames, counts):
    for name in ("XDATCAR", "POSCAR"):
        with pytest.raises(ValueError, match="counts no atoms"):
            frames(name, vasp_header(counts=counts) + "Direct\n" + coordinates(0))


@pytest.mark.parametrize("separator", ["", "Konfig= {}", "Direct configuration= {}", "step {} of 3", " {}"])
def test_any_separator_of_an_xdatcar(frames, separator):
    text = vasp_header() + "".join(f"{separator.format(k)}\n{coordinates(k)}" for k in range(3))
    are_first(frames("XDATCAR", text), 3)


def test_a_header_that_comes_again_has_the_cell_of_its_frame(frames):
    cells = [EDGES, (4.1, 5.1, 6.1), (4.2, 5.2, 6.2)]
    text = "".join(vasp_header(edges=edges) + xdatcar(1) for edges in cells)
    found = frames("XDATCAR", text)
    assert [atoms.cell.lengths().tolist() for atoms in found] == [pytest.approx(edges) for edges in cells]


def test_cartesian_coordinates_take_the_scale(frames, caplog):
    rows = "".join(" ".join(f"{x:.6f}" for x in row) + " T T F\n" for row in fractions(0) * EDGES / 2)
    are_first(frames("POSCAR", vasp_header("2.0", (2, 2.5, 3)) + f"Selective dynamics\nKartesisch\n{rows}"), 1)
    assert "3 atoms are held" in caplog.text  # and that is not kept
    caplog.clear()
    free = "".join(f"{row} T T T\n" for row in coordinates(0).splitlines())
    are_first(frames("POSCAR", vasp_header() + f"Selective dynamics\nDirect\n{free}"), 1)
    assert not caplog.text


@pytest.mark.parametrize(
    "between", ["\n", "Cartesian\n", "Lattice velocities\n1\n" + 6 * "0. 0. 0.\n" + "\n", "# c\n\n! d\n"]
)
def test_velocities_of_a_contcar(frames, between):
    velocities = "0.01 0. 0.\n0. 0.02 0.\n0. 0. -0.03\n"
    atoms = frames("CONTCAR", vasp_header() + "Direct\n" + coordinates(0) + between + velocities)[0]
    from ase import units

    assert atoms.get_velocities() * units.fs == pytest.approx(np.diag([0.01, 0.02, -0.03]))


VELOCITIES = "\n0.01 0. 0.\n0. 0.02 0.\n0. 0. -0.03\n"
CORRECTOR = "\n1\n0.1E+01\n0. 0. 0. 0.\n" + 9 * "0. 0. 0.\n"


REMARKED = "\n! of the atoms\n0.01 0. 0. ! a\n0. 0.02 0.   # b\n# between\n0. 0. -0.03 ! c d 1.0\n"


@pytest.mark.parametrize(
    "behind",
    ["", "\n\n  \n", VELOCITIES, VELOCITIES + CORRECTOR, VELOCITIES + CORRECTOR + "\n", "# made by me\n",
     "\n  ! mine\n\n# and\n", "# made\n" + VELOCITIES, REMARKED, REMARKED + CORRECTOR + "# end\n",
     VELOCITIES + "# of 300 K\n" + CORRECTOR],
)  # fmt: skip
def test_what_may_stand_behind_the_atoms_of_a_poscar(frames, behind):
    are_first(frames("CONTCAR", vasp_header() + "Direct\n" + coordinates(0) + behind), 1)


@pytest.mark.parametrize(
    "behind",
    [
        vasp_header() + "Direct\n" + coordinates(0),
        "\n" + vasp_header() + "Direct\n" + coordinates(0),
        VELOCITIES + vasp_header() + "Direct\n" + coordinates(0),
        "0.1 0.2 0.3\n",
        coordinates(0),  # six rows where three are counted, and no velocities
        "\n0.1 0.2 0.3\n",
        VELOCITIES + CORRECTOR + "0. 0. 0.\n",
        "\nsome remark\n",
        "# more\n" + coordinates(0),
        "\n" + coordinates(0).replace("\n", " T T F\n"),
        REMARKED.replace(" ! a", " Mg"),
    ],
)
def test_nothing_behind_the_atoms_of_a_poscar_is_passed_over(frames, behind):
    with pytest.raises(ValueError, match="behind its 3 atoms"):
        frames("POSCAR", vasp_header() + "Direct\n" + coordinates(0) + behind)


@pytest.mark.parametrize("scale", ["1 -1 2", "-1 1 1", "1 1 0"])
@pytest.mark.parametrize("name", ["POSCAR", "XDATCAR"])
def test_three_scales_are_positive(frames, scale, name):
    with pytest.raises(ValueError, match="three"):
        frames(name, vasp_header(scale) + "Direct\n" + coordinates(0))


# how elements are written


@pytest.mark.parametrize(
    ("first", "second", "states"), [("Mg2+", "O2-", [2, -2, -2]), ("MG", "o", None), ("mg+2", "O-2", [2, -2, -2])]
)
@pytest.mark.parametrize("name", ["a.extxyz", "a.lammpstrj"])
def test_ions_as_symbols(frames, name, first, second, states):
    text = FORMATS[name](0).replace("Mg", first).replace("O ", f"{second} ")
    found = frames(name, text.replace(f"NUMBER {second} ", "NUMBER O").replace("ATOMS", "ATOMS"))
    are_first(found, 1)
    held = found[0].arrays.get("oxidation_states")
    assert (None if held is None else held.tolist()) == states


def test_fortran_exponents(frames):
    are_first(frames("a.xyz", xyz(0).replace("000000 ", "000000D+00 ").replace('"4 0', '"0.4D1 0')), 1)


LABELLED = (
    "title\n\n3 atoms\n2 atom types\n\n0 4 xlo xhi\n0 5 ylo yhi\n0 6 zlo zhi\n\nAtom Type Labels\n\n1 {0}\n2 {1}\n\n"
    "{2}Atoms # charge\n\n1 {0} 2 0 0 0\n2 {1} -1 2 2.5 1.5\n3 {1} -1 0.5 2.5 4.5\n"
)


@pytest.mark.parametrize("masses", ["", "Masses\n\n{0} 24.305\n{1} 15.999\n\n", "Masses\n\n1 24.305\n2 15.999\n\n"])
@pytest.mark.parametrize("labels", [("Mg", "O"), ("Mg2+", "O2-"), ("MG", "O")])
def test_type_labels_of_lammps(frames, labels, masses):
    are_first(frames("a.lmp", LABELLED.format(*labels, masses.format(*labels))), 1)
    numbered = LABELLED.format(*labels, masses.format(*labels)).replace(f"1 {labels[0]} 2 ", "1 1 2 ")
    are_first(frames("a.lmp", numbered.replace(f" {labels[1]} -1", " 2 -1")), 1)
    with pytest.raises(ValueError, match="Wat"):
        frames("a.lmp", LABELLED.format("Wat", "O", ""))


def test_a_dump_may_name_types_by_label(frames):
    are_first(frames("a.lammpstrj", dump(0).replace("element", "typelabel").replace(" Mg ", " Mg2+ ")), 1)


@pytest.mark.parametrize("number", [1, 1.0, np.int64(1), np.float32(1.0)])
def test_a_time_is_kept_as_whatever_number_it_comes(number):
    atoms = Atoms("He", cell=np.eye(3) * 5.0, pbc=True, info={"time_ps": number, "target_K": "hot"})
    assert sound(Path("a.traj"), atoms).info == {"time_ps": 1}


# what large files take


def test_many_rows_are_read_in_less_memory_than_their_words_take():
    rows = [f"0.{k:06d} 0.5 {k}\n" for k in range(200_000)]
    tracemalloc.start()
    found = vectors(rows, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * len(rows)  # a list of three short words takes 270 bytes, three numbers 24
    np.testing.assert_array_equal(found[:, 2], np.arange(200_000))
    rows[123_456] = "0.1 0.2 x\n"
    with pytest.raises(RefusedError, match=r"'0\.1 0\.2 x' in line 123466"):
        vectors(rows, 10)


@pytest.mark.parametrize("name", ["a.extxyz", "a.lammpstrj"])
def test_the_words_of_a_file_are_not_kept_beside_its_rows(tmp_path, name):
    number, path = 40_000, tmp_path / name
    rows = [f"Mg {k % 200}.123456 {k // 200}.123456 1.123456\n" for k in range(number)]
    head = f'{number}\nLattice="200 0 0 0 200 0 0 0 9"\n'
    if name.endswith("trj"):
        rows = [f"{k} {row}" for k, row in enumerate(rows, 1)]
        head = f"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{number}\nITEM: BOX BOUNDS pp pp pp\n0 200\n0 200\n0 9\n"
        head += "ITEM: ATOMS id element x y z\n"
    path.write_text(head + "".join(rows))
    tracemalloc.start()
    atoms = read_structure(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(atoms.positions[:, 0], np.arange(number) % 200 + 0.123456)
    assert peak < 800 * number  # 660 each; 890 and 1150 where the words of all rows are kept beside the rows


def test_the_rows_of_a_cif_are_not_searched_for_cycles(tmp_path):
    sides = "".join(f"_cell_length_{axis} 200\n" for axis in "abc")
    angles = "".join(f"_cell_angle_{angle} 90\n" for angle in ("alpha", "beta", "gamma"))
    columns = "".join(f"_atom_site_{name}\n" for name in ("label", "fract_x", "fract_y", "fract_z"))
    rows = "".join(f"Mg{k} {k % 100 / 100} {k // 100 / 100} 0.5\n" for k in range(5000))
    (tmp_path / "a.cif").write_text(f"data_a\n{sides}{angles}loop_\n{columns}{rows}")
    read_structure(tmp_path / "a.cif")  # what its reader imports
    gc.collect()
    before = sum(stage["collections"] for stage in gc.get_stats())
    assert len(read_structure(tmp_path / "a.cif")) == 5000
    assert sum(stage["collections"] for stage in gc.get_stats()) - before < 10  # one for every 700 rows and more
    assert gc.isenabled()
