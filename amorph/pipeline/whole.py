"""A whole study in its run directory: every stage of every branch, and what they found side by side."""

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from amorph.calculators import calculator_name, make_calculator
from amorph.figures import Result
from amorph.pipeline import analyses, shared_melt
from amorph.pipeline.chain import Chain
from amorph.pipeline.order import Part, Record, rows_of, stages_of, tables_to_come
from amorph.pipeline.provenance import provenance
from amorph.pipeline.rehearsal import rehearse
from amorph.pipeline.stages import Setting, WaitingForVasp
from amorph.pipeline.study import DYNAMICS, Study
from amorph.pipeline.summary import Branches, Summary, summarize, summarize_melt
from amorph.progress import Progress
from amorph.run import (
    SUMMARY,
    RunDirectory,
    Stage,
    StopRequest,
    Work,
    begun,
    holds,
    holds_results,
    stop_on_signal,
    write_json,
)

_NUMBERED = re.compile(r"^[0-9]+_")


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
    _refuse_analyses_of_before(directory)
    _refuse_other_numbers(study, directory)
    # Another study is refused without force where there are results, in words that need no trial.
    known = force or not holds_results(directory) or holds(directory, study.tables, tables_to_come(directory))
    new = known and not holds(directory, study.tables)
    cited = rehearse(study) if new else {}
    calculators = {table: make(**study[table]) for table in ("calculator", "final_calculator")}
    final_model = "VASP" if study["vasp"] else calculator_name(calculators["final_calculator"])
    work = Work(progress or Progress(), stop, checkpoint_minutes=study["run"]["checkpoint_minutes"])
    given = study["bvs"]["parameters"], study["bvse"].get("parameters"), *study.reference_files
    files = [path for path in given if path is not None]
    made = [study[table] for table in calculators]
    moved = [study[table] for table in DYNAMICS]
    made_by = provenance(*calculators.values(), inputs=files, made=made, moved=moved) | cited
    course = _Course(study, directory, calculators)
    setting = Setting(calculators["calculator"], work, _streams(study.seed), melted=False, model=final_model)
    opened = RunDirectory(
        directory, study.tables, made_by, force=force, to_come=lambda: _keys_to_come(study, directory)
    )
    with stop_on_signal(work), opened as run:
        reference, host = Chain(run, "reference/", stop=stop), Chain(run, stop=stop)
        course.go(reference, setting, "reference")
        course.go(host, setting, "start")
        if study["snapshots"]:
            course.go(host, setting, "melt")
            summary = summarize_melt(study, host)
        else:
            branches = course.exchange(host, reference, setting)
            summary = summarize(study, branches, final_model, [entry["changed"] for entry in run.forced])
        write_json(directory / SUMMARY, summary.figures())
    return summary


def _keys_to_come(study: Study, directory: Path) -> frozenset[str]:
    """Name what of the study and its files nothing in the directory depends on yet."""
    tables = tables_to_come(directory)
    free = {"bvs", "bvse"} <= tables and ("reference" in tables or not study.reference_files)
    return tables | ({"input_sha256"} if free else set())


@dataclass(frozen=True)
class _Course:
    """A study on its way through the stages."""

    study: Study
    directory: Path
    calculators: Mapping[str, BaseCalculator]

    def go(
        self, chain: Chain, setting: Setting, part: Part, control: bool = False, beside: Chain | None = None
    ) -> None:
        """Do the stages of a part, one after the other; the control does those of the glass that it has.

        What is set beside a glass is measured with the bond cutoffs of that glass.
        """
        shared = self.study["melt"]
        for record in stages_of(self.study, part):
            if control and record.part == "glass" and not record.control:
                continue
            setting = replace(setting, calculator=self.calculators[record.potential or "calculator"])
            if record.name == "analysis" and beside is not None:
                setting = replace(setting, cutoffs=_cutoffs(beside))
            work = _with(record, setting)
            read = {role: file.split("/") for role, file in record.reads.items()}
            inputs = {role: chain.folders[stage] / name for role, (stage, name) in read.items()}
            if shared and record.part == "start":
                work = shared_melt.inherit_stage
                folder = self.directory / shared["run"] / f"{chain.number + 1}_{record.name}"
                inputs = {"inherited": shared_melt.inherited(folder)}
            if record.name == "melt_quench":
                melted, inputs = None, {}
                if shared:
                    melted, inputs = shared_melt.snapshot(self.directory / shared["run"], shared["snapshot"])
                work = _with(record, replace(setting, melted=melted))
            chain.then(record.name, record.parameters(self.study), work, record.kind, **inputs)
            if record.name in {"melt_quench", "anneal"}:
                setting = replace(setting, melted=chain.results[record.name].after_quench.melted)

    def exchange(self, host: Chain, reference: Chain, setting: Setting) -> Branches:
        """From the cell that melts to the pictures: the glass, every exchange of it, and the crystal control.

        Raises
        ------
        WaitingForVasp
            VASP has branches to relax.
        """
        crystal = host.branch("crystal") if self.study["control"]["crystal"] else None
        self.go(host, setting, "glass")
        melted = host.results["melt_quench"].after_quench.melted
        if not self.study["vasp"]:  # VASP's own oxygen volume is not known here
            setting = replace(setting, references=reference.results["relax"])
        replicas = self.study["run"]["replicas"]
        exchanged = [host.branch(f"replica_{n}" if replicas > 1 else "") for n in range(replicas)]
        hosts = [(host.branch("host"), melted)]
        waiting = []
        for n, chain in enumerate([*exchanged, *([] if crystal is None else [crystal])]):
            beside = exchanged[0] if n else None
            try:
                if chain is crystal:
                    self.go(chain, setting, "glass", control=True)
                    hosts.append((chain.branch("host"), False))
                    self.go(chain, setting, "exchanged", beside=beside)
                else:
                    own = replace(setting, melted=melted, rng=_streams(self.study.seed, n))
                    self.go(chain, own, "exchanged", beside=beside)
            except WaitingForVasp as error:  # the other branches' input is written too before the run stops
                waiting.append(str(error))
        if waiting:
            raise WaitingForVasp("; ".join(waiting))
        for chain, history in hosts:
            self.go(chain, replace(setting, melted=history), "host")
        return Branches(host, exchanged, crystal, reference, *(chain for chain, _ in hosts))


def _cutoffs(glass: Chain) -> Mapping[str, float]:
    """Give the longest bonds of a glass that was analysed.

    Raises
    ------
    WaitingForVasp
        It was not, as VASP has not relaxed it.
    """
    if "analysis" not in glass.found:
        raise WaitingForVasp("what is set beside the glass is analysed after it, with its bond cutoffs")
    return analyses.bond_cutoffs_of(glass.found["analysis"].figures)


def _refuse_analyses_of_before(directory: Path) -> None:
    """Name every folder that an earlier version analysed, without rows to compare; all else is continued."""
    marks = sorted(directory.glob("**/*_analysis/stage.json"))
    old = [mark.parent for mark in marks if '"rows"' not in mark.read_text(encoding="utf-8", errors="replace")]
    if folders := [folder for analysed in old for folder in (analysed, *analysed.parent.glob("*_export"))]:
        raise ValueError(
            f"{', '.join(map(str, folders))}: done by an earlier version of amorph, which kept nothing to compare; "
            "remove these folders and run again to redo them, which takes a minute"
        )


def _refuse_other_numbers(study: Study, directory: Path) -> None:
    """Refuse folders of stages that this study has at another number: two analyses would stand side by side."""
    folders = [
        directory / f"{row.folder}{number}_{record.name}"
        for row in rows_of(study)
        for number, record in enumerate(row.records, row.before + 1)
    ]
    found = [
        f"{folder} (here {planned.name})"
        for planned in folders
        for folder in sorted(planned.parent.glob(f"[0-9]*_{planned.name.partition('_')[2]}"))
        if _NUMBERED.sub("", folder.name) == _NUMBERED.sub("", planned.name)
        and folder.name != planned.name
        and begun(folder)
    ]
    if found:
        raise ValueError(
            f"{', '.join(found)}: of a study with fewer or more stages before them, and would stand beside those of "
            "this one; move them and the folders after them away, or take another --dir"
        )


def _streams(seed: int, replica: int = 0) -> Callable[[str], np.random.Generator]:
    """Give each stage of a replica a stream of random numbers of its own."""
    return lambda stage: np.random.default_rng([seed, zlib.crc32(stage.encode()), replica])


def _with(record: Record, setting: Setting) -> Callable[[Stage, Atoms], Result]:
    return lambda stage, atoms: record.work(stage, atoms, setting)
