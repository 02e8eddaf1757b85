"""Every command and every line of Python in the documentation: all are understood, those in blocks run.

Where a page speaks of the reader's own files, stand-ins of the same kind lie beside it; what takes hours is rehearsed.
"""

import re
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read, write
from toy_run import BRIEF
from walks import walk

from amorph.cli import VERBS, main, make_app
from amorph.export import write_structure
from amorph.reading import read_structure

ROOT = Path(__file__).parent.parent
PAGES = {path.stem: path for path in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "workflows/README.md"]}
DONE, BAD_INPUT, CHECK_FAILED = 0, 2, 4
HOURS = {"run", "ensemble run"}
"""Verbs that are rehearsed."""
RELAXING, FEW_STEPS = {"relax", "voltage"}, ["--max-steps", "2"]
"""Verbs that minimise with CHGNet; here they end after two steps, unconverged."""
SLOW = {
    "report",
    "figures",
    "validation",
    "voltage",
    "first_map",
    "voids",
    "files",
    "percolation",
    "voronoi",
    "guide",
    "transport",
}
"""Pages whose commands take more than a second or two."""
SHELL = {"make", "python", "python3", "pip", "venv/bin/pip", "pytest"}
"""Programs that are not ours, or are not amorph's command."""
NAMED = {"FILE...": "FILE", "N": "2", "VALUE...": "0.5", "VERB": "bvs", "--level": "--level"}
"""What stands for the reader's own in an inline command."""


def blocks(text, languages):
    """The code of every block in one of some languages."""
    return [code for language, code in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S) if language in languages]


def block_commands(name):
    """Commands of a page's blocks, one a line; a backslash joins two."""
    joined = "\n".join(blocks(PAGES[name].read_text(encoding="utf-8"), {"bash", ""})).replace("\\\n", " ")
    lines = [re.sub(r"\s#.*", "", line).strip() for line in joined.replace(" && ", "\n").splitlines()]
    found = [shlex.split(line) for line in lines if line and not line.startswith("#")]
    return [words for words in found if words[0] in SHELL | {"amorph"}]


def inline_commands(name):
    """Commands within the words of a page that have an argument."""
    text = re.sub(r"^```.*?^```", "", PAGES[name].read_text(encoding="utf-8"), flags=re.M | re.S)
    found = [" ".join(code.split()) for code in re.findall(r"`((?:amorph|python|make|pytest) [^`]+)`", text)]
    return [shlex.split(code.partition(" > ")[0]) for code in found]


def is_whole(words):
    """Whether a command could be called as it stands, placeholders aside."""
    verb = " ".join(words[1:3]) if words[1] == "ensemble" else words[1]
    return verb in VERBS and len(words) > 1 + len(verb.split())


SHARED = """data_shared
_cell_length_a 4.2
_cell_length_b 4.2
_cell_length_c 4.2
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
M1 Ni2+ 0 0 0 .5
M2 Mg2+ 0 0 0 .5
O1 O2- .5 .5 .5 1
"""
"""A crystal whose one site is shared."""
EVERY = {name: [*block_commands(name), *inline_commands(name)] for name in PAGES}


def test_commands_are_found():
    assert sum(map(len, EVERY.values())) > 120


@pytest.mark.parametrize("name", [name for name in PAGES if EVERY[name]])
def test_every_command_is_understood(name):
    app = make_app()
    for program, *words in EVERY[name]:
        if program == "amorph" and is_whole([program, *words]) and "--help" not in words:
            app.parse_args([NAMED.get(word, word) for word in words], exit_on_error=False, print_error=False)
        elif program == "make":
            target = words[0].partition("=")[0]
            assert re.search(rf"^{target}\b", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M), words
        elif program in {"python", "pytest"}:
            files = [word for word in words if word.endswith((".py", "/")) or "/" in word]
            assert all((ROOT / file).exists() for file in files), words


@pytest.fixture(scope="session")
def glass():
    return read(ROOT / "tests/analysis/crystallinity/golden/chgnet_glass.extxyz")


@pytest.fixture
def checkout(tmp_path, monkeypatch, glass):
    """A folder with what the pages name."""
    for name in ("structures", "workflows", "docs", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    for name in ("glass.extxyz", "relaxed.extxyz", "glass.cif", "exchanged.extxyz"):
        write_structure(tmp_path / name, read_structure(ROOT / "structures/MgTi2O4.cif") if "x" in name[:9] else glass)
    shutil.copy(ROOT / "structures/LiFePO4.cif", tmp_path / "crystal.cif")
    return tmp_path


def needs_more(words):
    """Whether a command names a calculator of a package that is not installed here."""
    factory = words[words.index("--factory") + 1] if "--factory" in words else "amorph"
    return find_spec(factory.partition(".")[0]) is None


def run(words):
    """Run a command, or rehearse it; what it makes may fail a check of physics, for a stand-in is no glass."""
    verb = " ".join(words[1:3]) if words[1] == "ensemble" else words[1]
    rehearsed = verb in HOURS and "--dry-run" not in words and "--explain" not in words
    matches = {word: sorted(map(str, Path().glob(word))) for word in words if "?" in word or "[!" in word}
    words = [match for word in words for match in matches.get(word, [word])]
    return main([*words[1:], *(["--dry-run"] if rehearsed else []), *(FEW_STEPS if verb in RELAXING else [])])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in PAGES
        if any(words[0] == "amorph" for words in block_commands(name))
    ],
)
def test_the_commands_of_blocks_run(name, checkout, request, capsys):
    prepare = {
        "report": _a_run,
        "figures": _a_run,
        "validation": _members,
        "transport": _trajectories,
        "files": _maps,
    }.get(name)
    if prepare:
        prepare(checkout, request)
    for words in block_commands(name):
        if words[0] == "amorph":
            status, said = run(words), capsys.readouterr().err
            if needs_more(words):
                assert (status, "No module named" in said) == (BAD_INPUT, True), (words, said)
            else:
                assert status in {DONE, CHECK_FAILED}, (words, said)


def _a_run(folder, request):
    from amorph.pipeline import read_study, run_study

    (folder / "study.toml").write_text(BRIEF + "[bvse]\nspacing = 0.5\n")
    run_study(read_study(folder / "study.toml"), folder / "runs/quickstart")
    assert main(["bvs", "glass.cif", "--ion", "Li+", "--spacing", "0.4", "-o", "map.npz"]) == DONE
    assert main(["isosurface", "map.npz", "-o", "room.ply"]) == DONE


def _members(folder, request):
    glass = request.getfixturevalue("glass")
    for member in ("000_000", "000_001"):
        place = folder / "runs/ensemble_r2scan" / member
        for stage in ("3_relax", "crystal/2_relax"):
            (place / stage).mkdir(parents=True)
            write_structure(place / stage / "structure.extxyz", glass)
        shutil.copytree(place, folder / "runs/ensemble" / member)
    # the one that never melted: of other elements here, so that a command which takes it in fails
    left_out = folder / "runs/ensemble/000_005/3_relax"
    left_out.mkdir(parents=True)
    write_structure(left_out / "structure.extxyz", bulk("MgO", "rocksalt", a=4.2))


def _trajectories(folder, request):
    rng = np.random.default_rng(0)
    for temperature, pace in ((600, 0.03), (800, 0.1), (1000, 0.2)):
        paths, _ = walk("plain", 8, 200, 3, rng)
        frames = [Atoms("Li8O", pbc=True, cell=[20.0] * 3) for _ in range(200)]
        for number, frame in enumerate(frames):
            frame.positions[8] = 10.0, 0.0, 0.0
            frame.positions[:8] = 2.5 * np.arange(8)[:, None] + pace * paths[:, :, number]
            frame.info |= {"time_ps": 0.1 * number, "segment": "hold", "target_K": float(temperature)}
        write(folder / f"{temperature}K.extxyz", frames)


def _maps(folder, request):
    (folder / "disordered.cif").write_text(SHARED)
    shutil.copy(folder / "crystal.cif", folder / "FILE.cif")
    write(folder / "XDATCAR", [bulk("MgO", "rocksalt", a=4.2)] * 2, format="vasp-xdatcar")
    assert main(["bvs", "glass.cif", "--ion", "Li+", "--spacing", "0.4", "-o", "bvs.npz"]) == DONE
    assert main(["voids", "glass.cif", "--spacing", "0.4", "-o", "distance.npz"]) == DONE


@pytest.mark.parametrize("name", ["first_map", "site_energy", "voronoi"])
def test_the_python_runs(name, checkout, glass):
    scope = {"atoms": glass, "np": np}
    for code in blocks(PAGES[name].read_text(encoding="utf-8"), {"python"}):
        exec(code.replace("spacing=0.1", "spacing=0.25"), scope)


def test_links_lead_somewhere():
    for path in PAGES.values():
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
            made = target.startswith(("generated/", "auto_gallery/"))  # when the site is built
            assert made or (path.parent / target).exists(), f"{path.name}: {target}"
