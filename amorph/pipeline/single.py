"""One stage in a run directory of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from amorph.calculators import evaluate, make_calculator
from amorph.figures import Result
from amorph.parameters import arguments_of, parse
from amorph.pipeline.chain import Chain
from amorph.pipeline.provenance import provenance
from amorph.pipeline.stages import Setting
from amorph.pipeline.study import general
from amorph.progress import Progress
from amorph.reading import read_structure
from amorph.run import Finished, RunDirectory, Stage, StopRequest, Work, stop_on_signal


def run_stage(
    directory: Path,
    file: Path,
    atoms: Atoms,
    calculator: BaseCalculator,
    parameters: Mapping[str, Any],
    *,
    name: str,
    how: Mapping[str, Any],
    seed: int | None = None,
    max_hours: float | None,
    force: bool,
    progress: Progress,
    work: Callable[[Stage, Atoms, Setting], Result],
) -> tuple[Stage, Finished]:
    """Do one stage in a run directory of its own, or continue it there; returns its folder and what it found."""
    if not directory.exists():
        # What the calculator cannot do is better known before anything is written.
        trial = atoms.copy()
        trial.calc = calculator
        evaluate(trial, ["energy", "forces"])
    read = parse(read_structure, {"path": str(file), **arguments_of(read_structure, parameters)})
    config = {
        name: how,
        "calculator": parse(make_calculator, arguments_of(make_calculator, parameters)),
        "input": {key: read[key] for key in ("index", "elements", "block") if key != "block" or read[key] is not None},
        "run": {} if seed is None else {"seed": seed},
    }
    minutes = parse(general, arguments_of(general, parameters))["checkpoint_minutes"]
    stop = StopRequest(max_hours=max_hours, ends_process=True)
    shared = Work(progress, stop, checkpoint_minutes=minutes)
    setting = Setting(calculator, shared, lambda _: np.random.default_rng(seed))
    made_by = provenance(calculator, inputs=[file], made=[config["calculator"]], moved=[how])
    with stop_on_signal(shared), RunDirectory(directory, config, made_by, force=force) as run:
        chain = Chain(run, stop=stop)
        chain.then(name, how, lambda stage, _: work(stage, atoms, setting), input=file)
    assert chain.last is not None  # the stage wrote its structure
    return chain.last, chain.found[name]
