"""A relaxation as the command line does it: with progress, and with its figures."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from amorph.calculators import calculator_name
from amorph.cli.verb import figures_of
from amorph.progress import Progress
from amorph.relaxation import Relaxed, RelaxFrame, relaxation


def relaxed_with_progress(
    atoms: Atoms, calculator: BaseCalculator, parameters: Mapping[str, Any], progress: Progress
) -> Relaxed:
    """Minimise the energy and show how far it is."""
    with progress.task("relax", parameters["max_steps"]) as update:

        def frames() -> Iterator[RelaxFrame]:
            for frame in relaxation(atoms, calculator, **parameters):
                note = f"largest force {frame.max_force:.3f} eV/Å"
                moving = parameters["cell"] != "fixed"
                update(frame.step, note + (f", stress {frame.stress_residual_GPa:.2f} GPa" if moving else ""))
                yield frame

        (last,) = deque(frames(), maxlen=1)
    return last.result()


def relaxed_figures(relaxed: Relaxed, calculator: BaseCalculator) -> dict[str, Any]:
    """Figures of a relaxation: everything but the atoms, and what computed it."""
    return {"model": calculator_name(calculator), **figures_of(relaxed), "volume_change": relaxed.volume_change}
