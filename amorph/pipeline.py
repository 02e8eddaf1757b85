"""The stages in order, on one page: composition → glass → exchange → free volume → bond-valence map → surface."""

import json
import logging
import platform
import signal
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from amorph import melting, stages
from amorph.analysis.bvs import bvs_map
from amorph.analysis.bvse import bvse_map
from amorph.analysis.crystallinity import crystallinity
from amorph.analysis.grids import resolve_points
from amorph.analysis.voronoi import free_volume
from amorph.calculators import calculator_name, make_calculator
from amorph.durable import sha256_of, write_atomically
from amorph.measuring import void_figures
from amorph.progress import Progress
from amorph.recording import StopRequest, Work
from amorph.repulsion import ZBLRepulsion
from amorph.rocksalt import build
from amorph.run import SUMMARY, RunDirectory, Stage, holds, read_structure
from amorph.study import Study
from amorph.substitution import substitute
from amorph.summary import Summary, summarize, summarize_melt

log = logging.getLogger(__name__)

PACKAGES = ("amorph", "ase", "chgnet", "numba", "numpy", "pymatgen", "scipy", "torch", "vesin")


@dataclass
class Chain:
    """Stages in a row: each reads the structure file of the one before, also in an uninterrupted run."""

    run: RunDirectory
    folder: str = ""
    number: int = 0
    last: Stage | None = None
    figures: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    stop: StopRequest = field(default_factory=StopRequest)

    def then(
        self,
        name: str,
        parameters: Mapping[str, Any],
        work: Callable[[Stage, Atoms], Mapping[str, Any]],
        **inputs: Path,
    ) -> None:
        """Do the next stage, or skip it where it is finished; it begins with the last structure or with the given."""
        self.number += 1
        if self.last is not None:
            inputs.setdefault("structure", self.last.structure)
        stage = self.run.stage(f"{self.folder}{self.number}_{name}", parameters, inputs)
        figures = stage.finished()
        if figures is None:
            # A summary from before would pass the run off as finished, with figures that are about to change.
            (self.run.path / SUMMARY).unlink(missing_ok=True)
            self.stop.check(f"before {stage.directory}")
            log.info("— %s", stage.directory)
            started = time.time()
            atoms = read_structure(inputs["structure"]) if "structure" in inputs else Atoms()
            figures = stage.finish(work(stage, atoms), started=started)
        else:
            log.info("— %s is done", stage.directory)
        self.figures[name] = figures
        if stage.structure.exists():
            self.last = stage

    def branch(self, folder: str) -> "Chain":
        """Start a row of stages of its own from where this one stands."""
        place = f"{self.folder}{folder}/" if folder else self.folder
        return Chain(self.run, place, self.number, self.last, stop=self.stop)


def run_study(
    study: Study,
    directory: Path,
    *,
    progress: Progress | None = None,
    max_hours: float | None = None,
    force: bool = False,
    stop: StopRequest | None = None,
    make: Callable[..., BaseCalculator] = make_calculator,
) -> Summary:
    """Run a study in a directory, or continue it there.

    Parameters
    ----------
    study
        What to do, from :func:`amorph.study.read_study`.
    directory
        The run directory; one that holds a part of this study is continued.
    progress
        Where progress is shown; nowhere by default.
    max_hours
        Wall time after which the run finishes its step, writes a checkpoint and stops [h].
    force
        Continue although the study, the weights or a package version changed: the difference is recorded in run.toml,
        finished stages stay as they are.
    stop
        Asks the run to stop, from another thread; takes the place of `max_hours`.
    make
        Makes a calculator from the keys of its table in the study.

    Raises
    ------
    ValueError
        The directory is in use or holds another study; a stage cannot do what is asked.
    Stopped
        The process was asked to stop, or the time is up; the same call continues.
    """
    stop = stop or StopRequest(max_hours=max_hours)
    melt_only, shared = bool(study["snapshots"]), study["melt"]
    # Another study is refused without force, in words that need no trial.
    new = not (directory / "run.toml").exists() or (force and not holds(directory, study.tables))
    cited = {"bond_valence": rehearse(study)} if new and not melt_only else {}
    calculator = make(**study["calculator"])
    final_calculator = make(**study["final_calculator"])
    model = calculator_name(calculator)
    final_model = "VASP" if study["vasp"] else calculator_name(final_calculator)
    work = Work(progress or Progress(), stop, checkpoint_minutes=study["run"]["checkpoint_minutes"])
    files = [path for path in (study["bvs"]["parameters"],) if path is not None]
    made_by = provenance(calculator, final_calculator, inputs=files)

    def rng(stage: str, replica: int = 0) -> np.random.Generator:
        return np.random.default_rng([study.seed, zlib.crc32(stage.encode()), replica])

    def begin(chain: Chain) -> None:
        """From the composition to the cell that melts; a shared melt began with one that is there."""
        steps: dict[str, Callable[[Stage, Atoms], Mapping[str, Any]]] = {
            "build": partial(stages.build_stage, rng=rng("build"))
        }
        if study["build"]["lattice_constant"] == "relaxed":
            steps["starting_relax"] = partial(stages.relax_stage, calculator=calculator, work=work, melted=False)
        for name, step in steps.items():
            if shared:
                source = directory / shared["run"] / f"{chain.number + 1}_{name}" / "structure.extxyz"
                if not source.exists():
                    raise ValueError(f"{source} is not there; run the melt first")
                chain.then(name, study[name], melting.inherit_stage, inherited=source)
            else:
                chain.then(name, study[name], step)

    def write_summary(summary: Summary) -> None:
        text = json.dumps(summary.figures, indent=2, ensure_ascii=False, default=float) + "\n"
        write_atomically(directory / SUMMARY, text.encode())

    def exchange(chain: Chain, replica: int, *, melted: bool | None) -> None:
        """From the host to the pictures: what glass and crystal go through alike."""
        chain.then("substitute", study["substitute"], partial(stages.substitute_stage, rng=rng("substitute", replica)))
        if study["vasp"]:
            chain.then("final_relax", study["vasp"], partial(stages.vasp_stage, melted=melted))
        else:
            relax = partial(stages.relax_stage, calculator=final_calculator, work=work, melted=melted)
            chain.then("final_relax", study["final_relax"], relax)
        analysis = {name: study[name] for name in ("free_volume", "bvs", "bvse", "voids")}
        chain.then(
            "analysis",
            analysis,
            partial(
                stages.analysis_stage,
                oxygen_volume=oxygen_volume,
                model=final_model,
                melted=melted,
                rng=rng("analysis", replica),
            ),
        )
        exports = {"bvs": study["bvs"], "isosurface": study["isosurface"], "export": study["export"]}
        chain.then("export", exports, partial(stages.export_stage, model=final_model))

    with (
        stop_on_signal(work),
        RunDirectory(directory, study.tables, made_by | cited, force=force) as run,
    ):
        chain = Chain(run, stop=work.stop)
        if melt_only:
            begin(chain)
            melt_only_stage = partial(melting.melt_stage, calculator=calculator, work=work, rng=rng("melt"))
            chain.then("melt", study["melt_quench"] | study["snapshots"], melt_only_stage)
            summary = summarize_melt(study, chain.figures, model)
            write_summary(summary)
            return summary
        reference = Chain(run, "reference/", stop=work.stop)
        reference.then(
            "relax",
            study["reference"],
            lambda stage, _: stages.reference_stage(stage, calculator=final_calculator, work=work),
        )
        if study["calculator"] != study["final_calculator"]:
            reference.then(
                "relax_by_melt_model",
                study["reference"],
                lambda stage, _: stages.reference_stage(stage, calculator=calculator, work=work),
            )
        # The oxygen volume of the same potential: VASP's own is not known here.
        oxygen_volume = None if study["vasp"] else reference.figures["relax"]["oxygen_volume"]

        begin(chain)
        crystal = chain.branch("crystal")

        melt = partial(stages.melt_quench_stage, calculator=calculator, work=work)
        relax = partial(stages.relax_stage, calculator=calculator, work=work)
        molten, snapshot = melting.snapshot(directory / shared["run"], shared["snapshot"]) if shared else (None, {})
        quench = partial(melt, rng=rng("melt_quench"), melted=molten)
        chain.then("melt_quench", study["melt_quench"], quench, **snapshot)
        melted = chain.figures["melt_quench"]["after_quench"]["melted"]
        chain.then("relax", study["relax"], partial(relax, melted=melted))
        chain.then("equilibrate", study["equilibrate"], partial(melt, rng=rng("equilibrate"), melted=melted))
        replicas = study["run"]["replicas"]
        exchanged = [chain.branch(f"replica_{n}" if replicas > 1 else "") for n in range(replicas)]
        branches = [(replica, n, melted) for n, replica in enumerate(exchanged)]
        if study["control"]["crystal"]:
            crystal.then("relax", study["relax"], partial(relax, melted=False))
            branches.append((crystal, 0, False))
        waiting = []
        for branch, n, was_melted in branches:
            try:
                exchange(branch, n, melted=was_melted)
            except stages.WaitingForVasp as error:  # the other branches' input is written too before the run stops
                waiting.append(str(error))
        if waiting:
            raise stages.WaitingForVasp("; ".join(waiting))

        summary = summarize(
            study,
            host=chain.figures,
            exchanged=[replica.figures for replica in exchanged],
            crystal=crystal.figures if study["control"]["crystal"] else None,
            reference=reference.figures,
            models=(model, final_model),
            forced=[entry["changed"] for entry in run.forced],
        )
        write_summary(summary)
    return summary


def rehearse(study: Study) -> dict[str, Any]:
    """Try on the built cell what could otherwise fail after hours: the verdict, the exchange, the analyses.

    Returns
    -------
    dict
        The bond-valence parameters that the study comes down to, with their source.

    Raises
    ------
    ValueError
        A stage cannot do what is asked.
    """
    rng = np.random.default_rng(study.seed)
    host = build(**study["build"], rng=rng).atoms
    for table in ("melt_quench", "equilibrate"):
        crystallinity(host, supercell=study[table]["supercell"], anion=study[table]["anion"])
    # Whether new ions find room at a distance from each other shows only in the glass.
    exchanged = substitute(host, **{**study["substitute"], "minimum_distance": 0.0}, rng=rng).atoms
    free_volume(exchanged, **study["free_volume"])
    chosen = study["bvs"]
    for table in ("bvs", "bvse", "voids"):
        if study[table]:
            resolve_points(exchanged.cell.array, study[table]["grid"], study[table]["spacing"])
    bvs = bvs_map(exchanged, **{**chosen, "grid": (2, 2, 2), "spacing": None})
    void_figures(exchanged, chosen["ion"], {**study["voids"], "grid": (8, 8, 8), "spacing": None})
    if study["bvse"]:
        bvse_map(exchanged, **{**study["bvse"], "grid": (2, 2, 2), "spacing": None})
    return {"r0": bvs.r0, "b": bvs.b, "source": bvs.source}


@contextmanager
def stop_on_signal(work: Work) -> Iterator[None]:
    """Let SIGINT, SIGTERM, SIGUSR1 and SIGHUP end the run after the step at hand, with a checkpoint.

    Signals reach the main thread only; elsewhere nothing is installed. A command that was asked to stop hears none of
    them any more, or the next one would end it with a status of its own while Python shuts down.
    """

    def ask(number: int, _frame: Any) -> None:
        work.stop.by = signal.Signals(number).name

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup asks to go on without a terminal
        numbers.append(signal.SIGHUP)
    try:
        before = {number: signal.signal(number, ask) for number in numbers}
    except ValueError:  # not the main thread
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if work.stop.by and work.stop.ends_process else handler)


def provenance(*calculators: Any, inputs: Sequence[Path] = ()) -> dict[str, Any]:
    """Say what made a run's numbers: versions, commit, models, their engines, the sha256 of weights and input files."""
    engines = {calculator_name(calculator): _engine(calculator) for calculator in calculators}
    weights = {
        calculator_name(calculator): str(digest)
        for calculator in calculators
        if (digest := getattr(calculator, "weights_sha256", None))
    }
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "commit": _commit(),
        "models": sorted({calculator_name(calculator) for calculator in calculators}),
        "weights_sha256": weights,
        "engines": {name: engine for name, engine in engines.items() if engine},
        "input_sha256": {str(path): sha256_of(path) for path in inputs},
    }


def _engine(calculator: Any) -> dict[str, str | int]:
    """Say what computes a model, as far as its calculator tells: engine, device, number of threads."""
    model = getattr(calculator, "stands_for", calculator)
    if isinstance(model, ZBLRepulsion):
        model = model.calculator
    told = {key: getattr(model, key, None) for key in ("engine", "device", "threads")}
    return {key: value for key, value in told.items() if isinstance(value, str | int)}


def _commit() -> str | None:
    """Commit of a development checkout; None for an installed package."""
    package = Path(__file__).parent
    command = ["git", "-C", str(package), "describe", "--always", "--dirty", "--match=", "--abbrev=40"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):  # no git, or a checkout on a disk that hangs
        return None
    inside = done.returncode == 0 and (package.parent / ".git").exists()
    return done.stdout.strip() if inside else None
