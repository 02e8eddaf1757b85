"""What only a process of its own can show: what is imported, how fast help is, what is compiled again."""

import gzip
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ase.build import bulk

import amorph

PACKAGE = Path(amorph.__file__).parent


def python(code, *arguments, cwd, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**clean, **environment},
    )


IMPORTED = """
import sys
from amorph.cli import main
status = main(sys.argv[1:])
heavy = {"torch", "chgnet", "vtkmodules", "matplotlib", "pymatgen", "pyvoro2"}
found = heavy & {name.partition(".")[0] for name in sys.modules}
sys.exit(f"status {status}, loaded {found}" if status or found else 0)
"""


def test_bvs_loads_neither_torch_nor_vtk(mgo, tmp_path):
    words = ("bvs", "mgo.extxyz", "--ion", "Mg2+", "--grid", 8, 8, 8, "-o", "bvs.npz", "-q")
    done = python(IMPORTED, *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_list_of_verbs_loads_no_verb():
    code = """
import sys
from amorph.cli import main
main([])
heavy = ("amorph.analysis", "amorph.rocksalt", "ase", "scipy", "numba")
found = [name for name in sys.modules if name.startswith(heavy)]
sys.exit(",".join(found) or 0)
"""
    done = python(code, cwd=PACKAGE.parent)
    assert done.returncode == 0, done.stderr


NOISY = """
import logging, warnings
from ase.calculators.emt import EMT

def make():
    warnings.warn("look out")
    logging.getLogger("elsewhere").warning("look out")
    return EMT()
"""


def test_other_projects_warnings_and_log_lines_stay_away_but_for_debug(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    bulk("Cu", a=3.6).write(tmp_path / "cu.extxyz")
    command = [sys.executable, "-m", "amorph", "relax", "cu.extxyz", "--factory", "noisy:make", "-o", "r.cif", "-q"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    loud = subprocess.run([*command, "--debug"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "UserWarning: look out" in loud.stderr


def test_output_into_a_closed_pipe_ends_quietly(oxide, tmp_path):
    command = f"{sys.executable} -m amorph free-volume oxide.extxyz --ion Li+ --per-atom | true"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "pipe" not in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_a_reader_of_stderr_that_has_gone_changes_no_status(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "amorph", "bilud"]
    done = subprocess.run(command, cwd=tmp_path, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("streams", "words", "status"),
    [
        (">&-", "--version", 0),  # nobody wants to read it
        ("2>&-", "--version", 0),
        ("<&- >&- 2>&-", "--version", 0),
        ("2>&-", "bilud", 2),
        ("2>/dev/full", "bilud", 2),
        (">/dev/full", "--version", 1),
    ],
)
def test_closed_and_full_streams_have_the_status_of_the_work(tmp_path, streams, words, status):
    command = f"{sys.executable} -m amorph {words} {streams}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stderr.count("\n") == (1 if status == 1 else 0), done.stderr
    assert "No space left on device" in done.stderr or status != 1


def test_no_file_takes_the_number_of_a_closed_stream(tmp_path):
    code = """
import os, sys
from amorph.cli import main
sys.argv = ["amorph", "bilud"]
main()
with open("mine", "w") as file:
    os.write(1, b"said"), os.write(2, b"said")
"""
    command = ["bash", "-c", f"{sys.executable} -c '{code}' <&- >&- 2>&-"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "mine").read_text() == ""


# The file is unpacked into a folder of its own, and there the process waits.
UNPACKING = """
import os, signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, which may have begun the tests, ignores it
from amorph.cli import main
from amorph.reading import packed

packed._unmarked = lambda path: (os.write(1, b"unpacked\\n"), time.sleep(20))
sys.argv = ["amorph", "convert", "a.extxyz.gz", "b.cif"]
sys.exit(main())
"""


LOCALES = ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C.UTF-8"})


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        (LOCALES[0], b"r\xc3\xbcn"),
        (LOCALES[1], b"r\xffn"),
        pytest.param(LOCALES[0], b"r\xffn", marks=pytest.mark.slow),
        pytest.param(LOCALES[1], b"r\xc3\xbcn", marks=pytest.mark.slow),
    ],
    ids=["C-UTF-8", "UTF-8-bytes", "C-bytes", "UTF-8-UTF-8"],
)
def test_any_name_of_a_file_is_taken_in_any_locale(tmp_path, environment, name):
    bulk("Cu", cubic=True).write(tmp_path / "cu.extxyz")
    source, page, directory = (name + end for end in (b".extxyz", b".html", b""))
    (tmp_path / "cu.extxyz").rename(tmp_path / os.fsdecode(source))
    relax = [b"relax", source, b"--factory", b"ase.calculators.emt:EMT", b"--dir", directory, b"--quiet"]
    for words in ([b"view", source, b"-o", page], relax, relax):
        command = [sys.executable, "-m", "amorph", *words]
        environment = {**os.environ, **environment}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b""), words
    assert b"</html>" in (tmp_path / os.fsdecode(page)).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_a_verb_leaves_no_temporary_folder(tmp_path, number):
    (tmp_path / "tmp").mkdir()
    with gzip.open(tmp_path / "a.extxyz.gz", "wb") as file:
        file.write(b"1\n\nO 0 0 0\n")
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    command = [sys.executable, "-c", UNPACKING]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "unpacked\n"
        assert list((tmp_path / "tmp").iterdir())
        process.send_signal(number)
    assert process.returncode == -number
    assert list((tmp_path / "tmp").iterdir()) == []


# Compiles the smallest kernel of the package at argv[1] and says how often it had to, and where it is kept.
COMPILE = """
import sys
sys.path.insert(0, sys.argv[1])
import amorph
from amorph.analysis.grids import _exponential as kernels
assert amorph.__file__.startswith(sys.argv[1]), amorph.__file__
assert kernels._exp2(1.0) == 2.0
print(sum(kernels._exp2.stats.cache_misses.values()), kernels._exp2.stats.cache_path)
"""


@pytest.mark.parametrize("home", ["writable", "read-only"])
def test_a_second_process_compiles_nothing_where_site_packages_is_read_only(tmp_path, home):
    """A file in the place of ``__pycache__`` stops every user, root too, from writing there."""
    site, user, temporary = tmp_path / "site", tmp_path / "home", tmp_path / "tmp"
    shutil.copytree(PACKAGE, site / "amorph", ignore=shutil.ignore_patterns("__pycache__"))
    (site / "amorph/__pycache__").write_text("")
    temporary.mkdir()
    user.mkdir() if home == "writable" else user.write_text("")
    environment = {"HOME": str(user), "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"XDG_CACHE_HOME": str(user / ".cache")}
    first, second = (python(COMPILE, site, cwd=tmp_path, **environment) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    (compiled, folder), (again, same) = first.stdout.split(), second.stdout.split()
    assert (compiled, again) == ("1", "0")
    assert folder == same
    assert Path(folder).is_relative_to(user if home == "writable" else temporary)
