"""The stages in order, on one page: composition → glass → exchange → free volume → bond-valence map → surface."""

import json
import logging
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from amorph.calculators import calculator_name, make_calculator
from amorph.pipeline import shared_melt, stages
from amorph.pipeline.chain import Chain
from amorph.pipeline.provenance import provenance
from amorph.pipeline.rehearsal import rehearse
from amorph.pipeline.study import Study
from amorph.pipeline.summary import Summary, summarize, summarize_melt
from amorph.progress import Progress
from amorph.run import (
    SUMMARY,
    RunDirectory,
    Stage,
    StopRequest,
    Work,
    holds,
    stop_on_signal,
    write_atomically,
)

log = logging.getLogger(__name__)


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
        What to do, from :func:`amorph.pipeline.read_study`.
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
                chain.then(name, study[name], shared_melt.inherit_stage, inherited=source)
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
            melt_only_stage = partial(shared_melt.melt_stage, calculator=calculator, work=work, rng=rng("melt"))
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
        molten, snapshot = shared_melt.snapshot(directory / shared["run"], shared["snapshot"]) if shared else (None, {})
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
