"""Feed damaged files to the readers: only a result or a ValueError of one line is allowed.

As a script: fuzzing.py KIND NUMBER SEED. Time and memory are measured outside the reader, whatever it catches; its
process ends at a file that no alarm can stop, and prints what went wrong.
"""

import faulthandler
import io
import logging
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings, strategies as st

SECONDS = 10
BYTES = 1_000_000_000
EXTREMES = [
    b"nan", b"inf", b"-inf", b"1e308", b"-1e308", b"1e-320", b"0", b"-1", b"99999999999999999999", b"2147483648", b"",
    b"\x00", b"\xff\xfe", "é".encode(), b"'", b'"', b"_", b"loop_", b"[", b"]", b"{", b"=", b"#", b"\n", b"\r", b"?",
]  # fmt: skip
KINDS = ("cif", "poscar", "extxyz", "toml", "cube", "npz", "ensemble", "traj", "lammpstrj", "xdatcar")


def originals(kind, folder):
    """Whole files to damage."""
    import ase.io
    from ase import Atoms
    from ase.build import bulk
    from toy_run import STUDY

    from amorph.export import write_structure
    from amorph.export.fields import write_field
    from amorph.fields import ScalarField

    mgo = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    if kind == "cif":
        shipped = Path(__file__).parent.parent / "structures"
        return [path.read_bytes() for path in sorted(shipped.glob("*.cif"))[:8]]
    if kind == "toml":
        return [STUDY.encode()]
    if kind == "ensemble":
        (folder / "study.toml").write_text(STUDY)
        text = '[ensemble]\nstudy = "study.toml"\nmembers = 2\n[vary]\nbuild.composition = ["MgO"]\n'
        return [f'{text}[slurm]\nsetup = ["x"]\n'.encode()]
    if kind in {"poscar", "extxyz"}:
        skewed = Atoms("LiO", positions=[[0, 0, 0], [1, 1.2, 2]], cell=[[3, 0, 0], [1, 4, 0], [0.5, 1, 5]], pbc=True)
        texts = []
        for number, atoms in enumerate((mgo, skewed)):
            path = folder / f"whole{number}.{'vasp' if kind == 'poscar' else kind}"
            write_structure(path, atoms)
            texts.append(path.read_bytes())
        return texts
    if kind == "xdatcar":
        ase.io.write(folder / "XDATCAR", [mgo, mgo], format="vasp-xdatcar")
        return [(folder / "XDATCAR").read_bytes()]
    if kind == "lammpstrj":
        frame = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
        return [2 * f"{frame}ITEM: ATOMS id element x y z\n1 Mg 0 0 0\n2 O 2 2 2\n".encode()]
    if kind == "traj":
        ase.io.write(folder / "whole.traj", [mgo, mgo.repeat(2)])
        return [(folder / "whole.traj").read_bytes()]
    field = ScalarField(np.arange(60.0).reshape(3, 4, 5), mgo.cell.array, "bond valence sum of Mg2+", "v.u.", {"a": 1})
    path = folder / f"whole.{kind}"
    write_field(path, field, mgo)
    return [path.read_bytes()]


def damaged(whole, rng):
    """Damage a file in one to four ways."""
    text = bytearray(whole)
    for _ in range(rng.integers(1, 5)):
        place = int(rng.integers(0, len(text) + 1))
        length = int(rng.choice([1, 2, 8, 64]))
        way = rng.integers(0, 7)
        if way == 0:
            text[place : place + length] = rng.bytes(length)
        elif way == 1:
            del text[place : place + length]
        elif way == 2:
            text[place:place] = text[place : place + length] * int(rng.integers(1, 20))
        elif way == 3:
            text[place:place] = EXTREMES[rng.integers(len(EXTREMES))]
        elif way == 4:  # another number, word or line in the place of one
            words = bytes(text).split(b" ")
            words[rng.integers(len(words))] = EXTREMES[rng.integers(len(EXTREMES))]
            text = bytearray(b" ".join(words))
        elif way == 5:
            lines = bytes(text).split(b"\n")
            a, b = rng.integers(len(lines), size=2)
            lines[a], lines[b] = lines[b], lines[a]
            text = bytearray(b"\n".join(lines))
        else:
            del text[place:]
    return bytes(text)


def reader(kind):
    from amorph.ensemble.plan import read_ensemble
    from amorph.pipeline import read_study
    from amorph.reading import read_field, read_structure

    return {"toml": read_study, "ensemble": read_ensemble, "npz": read_field}.get(kind, read_structure)


def names(kind, number):
    return (
        f"{kind.upper()}_{number}"
        if kind in {"poscar", "xdatcar"}
        else f"{number}.{'toml' if kind == 'ensemble' else kind}"
    )


class TooLong(BaseException):
    """Raised by the alarm; no Exception, so that a reader which catches all of those is stopped too."""


def peak():
    """Most address space that this process has had [bytes]: it counts what is reserved and never filled."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmPeak:"))


def faults_of(read, path, limit, seconds):
    """Read a file; return what is wrong with the answer, or with what it took."""

    def too_long(_signal, _frame):
        raise TooLong

    signal.signal(signal.SIGALRM, too_long)
    faults, before, started = [], peak(), time.monotonic()
    faulthandler.dump_traceback_later(3 * seconds, exit=True)  # where the alarm is not heard
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        read(path)
    except ValueError as error:
        if "\n" in str(error) or not str(error):
            faults.append(f"not one line: {error!r}")
    except TooLong:
        pass
    except BaseException as error:
        faults.append(f"{type(error).__name__}: {error}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
    if time.monotonic() - started > seconds:
        faults.append(f"more than {seconds} s")
    if peak() > max(limit, before):
        faults.append(f"{(peak() - limit) / 1e9:.2f} GB more memory than the {BYTES / 1e9:g} GB allowed")
    return faults


def limited():
    """Limit the memory to twice what is allowed, so that taking too much is seen and does no harm; return that sum."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 2 * BYTES, now + 2 * BYTES))
    return now + BYTES


def complaints(kind, number, seed, limit):
    """Read so many damaged files; yield a line for every one that is answered wrongly."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wholes, read = originals(kind, folder), reader(kind)
        for count in range(number):
            content = damaged(wholes[count % len(wholes)], rng)
            path = folder / names(kind, count)
            path.write_bytes(content)
            yield from (f"{kind} {seed} {count}: {fault}" for fault in faults_of(read, path, limit, SECONDS))
            path.unlink()


def drawn(kind, number, limit):
    """Read so many files that hypothesis cuts and edits; yield the smallest that is answered wrongly."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wholes, read, path = originals(kind, folder), reader(kind), folder / names(kind, 0)
        edits = st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=6) | st.sampled_from(EXTREMES)), max_size=6)

        @settings(
            max_examples=number, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
        )
        @given(st.sampled_from(wholes), edits, st.none() | st.integers(0, 5000))
        def read_damaged(whole, edits, end):
            content = bytearray(whole)
            for place, new in edits:
                at = place % (len(content) + 1)
                content[at : at + len(new)] = new
            path.write_bytes(content[:end])
            faults = faults_of(read, path, limit, SECONDS)
            assert not faults, "; ".join(faults)

        try:
            read_damaged()
        except AssertionError as error:
            yield f"{kind}: {path.read_bytes()!r}: {error}"


def main():
    kind, number, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    faulthandler.enable()
    warnings.simplefilter("ignore")
    logging.disable()
    output, sys.stdout = sys.stdout, io.StringIO()
    reader(kind)
    with tempfile.TemporaryDirectory() as name:  # what the readers import counts as before
        for whole in originals(kind, Path(name)):
            path = Path(name) / names(kind, 0)
            path.write_bytes(whole)
            reader(kind)(path)
    limit = limited()
    wrong = list(drawn(kind, number, limit) if seed == "drawn" else complaints(kind, number, int(seed), limit))
    output.write("\n".join(wrong) + ("\n" if wrong else "") + f"{kind}: {number} damaged files, {len(wrong)} wrong\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
