"""Energy minimisation with a fixed, isotropic or free cell; forces and stress are judged apart."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Gt
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from numpy.typing import NDArray

from amorph.calculators import GPA_PER_EV_A3, evaluate
from amorph.figures import Result
from amorph.parameters import Count, Force, Unit, checked
from amorph.progress import Task, task_of
from amorph.relaxation.deformation import Deformation, MovingCell
from amorph.relaxation.guard import MinimizationGuard
from amorph.relaxation.lbfgs import Lbfgs
from amorph.run import State
from amorph.structure import periodic_atoms

logger = logging.getLogger(__name__)

PressureTolerance = Annotated[float, Gt(0), Unit("GPa")]

ATOM_STIFFNESS = 70.0
"""First guess of the curvature along an atom's coordinate [eV/Å²], as in ASE's optimisers."""
BULK_MODULUS_GPA = 100.0
"""First guess of the stiffness of the cell [GPa]; oxides have 50 to 250. It decides only how fast the cell follows."""
LONGEST_STEP = 0.2
"""Longest step of an atom [Å]."""
LARGEST_STRAIN = 0.03
"""Largest strain of the cell in one step."""
MEMORY = 50
"""Steps that the curvature is learned from."""


@dataclass(frozen=True, eq=False)
class Relaxed(Result):
    """The outcome of an energy minimisation."""

    atoms: Atoms
    """Final structure, wrapped into the cell."""
    converged: bool
    """Whether forces and, where the cell may move, stress are within their tolerances."""
    steps: int
    """Steps taken."""
    cell: MovingCell
    """What the cell was allowed to do."""
    energy_eV: float
    """Potential energy of the cell [eV]."""
    max_force: float
    """Largest force on an atom [eV/Å]."""
    fmax: float
    """Its tolerance [eV/Å]."""
    stress_GPa: NDArray[np.float64]
    """(6,) stress xx yy zz yz xz xy, tension positive [GPa]; NaN if the calculator has none."""
    pressure_GPa: float
    """Pressure, −tr σ/3 [GPa]."""
    stress_residual_GPa: float
    """What is judged [GPa]: the size of the pressure (isotropic cell) or of the largest component (free cell)."""
    pressure_tolerance_GPa: float
    """Its tolerance [GPa]."""
    start_volume: float
    """Volume at the start [Å³]."""
    volume: float
    """Final volume [Å³]."""
    _large: ClassVar[frozenset[str]] = frozenset({"atoms"})
    _derived: ClassVar[tuple[str, ...]] = ("volume_change",)

    def figures(self) -> dict[str, Any]:
        """Give every figure, and the criteria one by one."""
        return super().figures() | {"criteria": self.table()}

    @property
    def volume_change(self) -> float:
        """Relative change of the volume."""
        return self.volume / self.start_volume - 1.0

    def table(self) -> list[dict[str, float | bool | int | str]]:
        """One row per criterion: what is judged, its value, its tolerance, whether it is met."""
        judged = [("largest force", self.max_force, self.fmax, "eV/Å")]
        if self.cell != "fixed":
            name = "pressure" if self.cell == "isotropic" else "largest stress component"
            judged.append((name, self.stress_residual_GPa, self.pressure_tolerance_GPa, "GPa"))
        return [
            {"criterion": name, "value": value, "tolerance": limit, "unit": unit, "met": value <= limit}
            for name, value, limit, unit in judged
        ]


@dataclass(frozen=True, eq=False)
class RelaxState(State):
    """Everything that the steps to come depend on; a run continued from it repeats the uninterrupted one bit by bit."""

    step: int
    """Last step done."""
    variables: NDArray[np.float64]
    """Positions in the undeformed cell and, where the cell moves, its scaled strain: see ``Deformation``."""
    start_cell: NDArray[np.float64]
    """(3, 3) undeformed cell, that of step 0 [Å]."""
    minimizer: dict[str, NDArray[np.float64]]
    """Memory of the minimiser."""


@dataclass(frozen=True, eq=False)
class RelaxFrame:
    """One step of the running minimisation; what it shows is gone when the next step is taken."""

    step: int
    energy_eV: float
    """Potential energy [eV]."""
    max_force: float
    """Largest force on an atom [eV/Å]."""
    pressure_GPa: float
    """Pressure [GPa]; NaN with a fixed cell, which needs no stress."""
    stress_residual_GPa: float
    """Size of the stress that is judged [GPa]; NaN with a fixed cell."""
    converged: bool
    """Whether every criterion is met."""
    atoms: Atoms
    """The live atoms; keep a copy, never these."""
    state: Callable[[], RelaxState] = field(repr=False)
    """Gives what a later call of :func:`relaxation` needs to continue after this step."""
    result: Callable[[], Relaxed] = field(repr=False)
    """Gives the outcome as it stands; of the last frame, the outcome of the minimisation."""


@checked
def relax(
    atoms: Atoms,
    calculator: BaseCalculator,
    *,
    cell: MovingCell = "fixed",
    fmax: Force = 0.005,
    pressure_tolerance_GPa: PressureTolerance = 0.05,
    max_steps: Count = 1000,
    progress: Task | bool | None = None,
) -> Relaxed:
    """Minimise the energy of a structure.

    Parameters
    ----------
    atoms
        Structure to start from (ASE or pymatgen); it is not changed.
    calculator
        Any ASE calculator; with stress where the cell may move.
    cell
        What the cell may do: fixed; isotropic, keeping its shape; free in shape and volume.
    fmax
        Largest force on any atom of a converged structure.
    pressure_tolerance_GPa
        Largest pressure (isotropic cell) or stress component (free cell) of a converged structure, of either sign.
    max_steps
        Steps after which an unconverged minimisation gives up, and says so.
    progress
        Whether to show progress, or what shows it; by default on a terminal or in a notebook, after two seconds.

    Returns
    -------
    Relaxed
        Check its ``converged``.

    Raises
    ------
    ValueError
        Bad input; constraints on the atoms; a moving cell without stress.
    RuntimeError
        Energy, forces, stress or positions are not finite; two atoms come closer than 0.5 Å; the volume is four times
        the start's or a quarter of it.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> relaxed = relax(bulk("Cu", a=3.7), EMT(), cell="isotropic")
    >>> relaxed.converged, round((4 * relaxed.volume) ** (1 / 3), 2)
    (True, 3.59)
    """
    rules: dict[str, Any] = {"fmax": fmax, "pressure_tolerance_GPa": pressure_tolerance_GPa, "max_steps": max_steps}
    with task_of(progress)("relax", max_steps) as update:
        for frame in relaxation(atoms, calculator, cell=cell, **rules):
            update(frame.step, f"largest force {frame.max_force:.3g} eV/Å")
    return frame.result()


@checked
def relaxation(
    atoms: Atoms,
    calculator: BaseCalculator,
    *,
    cell: MovingCell = "fixed",
    fmax: Force = 0.005,
    pressure_tolerance_GPa: PressureTolerance = 0.05,
    max_steps: Count = 1000,
    state: RelaxState | None = None,
) -> Iterator[RelaxFrame]:
    """Minimise the energy of a structure, frame by frame.

    The parameters are those of :func:`relax`. The first frame is that of step 0 or, on continuation from a `state` made
    by :meth:`RelaxFrame.state`, the state's own once more; the last one is converged or at `max_steps`.
    """
    work = periodic_atoms(atoms)
    if work.constraints:
        raise ValueError(
            f"the atoms carry a constraint ({type(work.constraints[0]).__name__}), which the minimisation does not "
            "keep; remove it with atoms.set_constraint()"
        )
    if cell != "fixed" and "stress" not in calculator.implemented_properties:
        raise ValueError(
            f"the calculator {type(calculator).__name__} has no stress, which a cell that is {cell} needs; choose "
            "cell='fixed'"
        )
    if state is not None and state.variables.size != (size := 3 * len(work) + (0 if cell == "fixed" else 9)):
        raise ValueError(
            f"the state to continue from has {state.variables.size} variables, this minimisation {size}; "
            "they belong to different runs"
        )
    return _Relaxation(work, calculator, cell, fmax, pressure_tolerance_GPa, max_steps, state).frames()


class _Relaxation:
    """The running minimisation: the one place that holds mutable state."""

    def __init__(
        self,
        atoms: Atoms,
        calculator: BaseCalculator,
        cell: MovingCell,
        fmax: float,
        pressure_tolerance_GPa: float,
        max_steps: int,
        state: RelaxState | None,
    ) -> None:
        self.atoms, self.cell, self.fmax, self.max_steps = atoms, cell, fmax, max_steps
        self.pressure_tolerance_GPa = pressure_tolerance_GPa
        atoms.calc = calculator
        atoms.set_momenta(None)
        start_cell = atoms.cell.array.copy() if state is None else state.start_cell
        self.start_volume = abs(float(np.linalg.det(start_cell)))
        # The scale that makes the curvature along a strain that of an atom's coordinate. ASE's own, the number of
        # atoms, leaves the cell of 64 atoms hundreds of times too soft and doubles the steps.
        scale = float(np.sqrt(self.start_volume * BULK_MODULUS_GPA / GPA_PER_EV_A3 / ATOM_STIFFNESS))
        self.deformation = Deformation(start_cell, cell, scale)
        self.guard = MinimizationGuard(self.start_volume)
        self.minimizer = Lbfgs(stiffness=ATOM_STIFFNESS, memory=MEMORY, length=self._length)
        self.step, self.x = 0, self.deformation.variables(atoms.positions)
        if state is not None:
            self.step = state.step
            self.minimizer.restore(state.minimizer)
            self._place(state.variables)

    def frames(self) -> Iterator[RelaxFrame]:
        yield (frame := self._frame())
        while not frame.converged and self.step < self.max_steps:
            self._advance(frame.energy_eV)
            yield (frame := self._frame())

    def _advance(self, energy: float) -> None:
        stress = np.zeros(6) if self.cell == "fixed" else self.atoms.get_stress()
        gradient = self.deformation.gradient(self.x, self.atoms.get_forces(), stress)
        self._place(self.x + self.minimizer.step(self.x, gradient, energy))
        self.step += 1

    def _place(self, x: NDArray[np.float64]) -> None:
        positions, cell = self.deformation.structure(x)
        self.atoms.set_cell(cell, scale_atoms=False)
        self.atoms.set_positions(positions)
        self.x = x.copy()

    def _length(self, step: NDArray[np.float64]) -> float:
        """Length of a step in units of the longest that is allowed, for atoms or strain."""
        displacement, strain = self.deformation.moves(step)
        return max(displacement / LONGEST_STEP, strain / LARGEST_STRAIN)

    def _frame(self) -> RelaxFrame:
        atoms, step = self.atoms, self.step
        self.guard.check_structure(atoms, step)
        try:
            evaluate(atoms, ["energy", "forces"] if self.cell == "fixed" else ["energy", "forces", "stress"])
            energy, forces = float(atoms.get_potential_energy()), atoms.get_forces()
            stress = np.full(6, np.nan) if self.cell == "fixed" else atoms.get_stress() * GPA_PER_EV_A3
        except ValueError as error:
            if step == 0:
                raise
            raise RuntimeError(f"step {step} of the minimisation led where the calculator gives up: {error}") from error
        max_force = float(np.linalg.norm(forces, axis=1).max())
        residual = self._residual(stress)
        self.guard.check_results(atoms, energy, forces, 0.0 if self.cell == "fixed" else residual, step)
        within = self.cell == "fixed" or residual <= self.pressure_tolerance_GPa
        return RelaxFrame(
            step=step,
            energy_eV=energy,
            max_force=max_force,
            pressure_GPa=-float(stress[:3].mean()),
            stress_residual_GPa=residual,
            converged=max_force <= self.fmax and within,
            atoms=atoms,
            state=self._state,
            result=self._result,
        )

    def _residual(self, stress: NDArray[np.float64]) -> float:
        return float(abs(stress[:3].mean()) if self.cell == "isotropic" else np.abs(stress).max())

    def _state(self) -> RelaxState:
        return RelaxState(
            step=self.step,
            variables=self.x.copy(),
            start_cell=self.deformation.start_cell.copy(),
            minimizer=self.minimizer.to_arrays(),
        )

    def _result(self) -> Relaxed:
        frame = self._frame()
        try:
            stress = self.atoms.get_stress() * GPA_PER_EV_A3
        except PropertyNotImplementedError:
            stress = np.full(6, np.nan)
        final = self.atoms.copy()
        final.wrap()
        relaxed = Relaxed(
            atoms=final,
            converged=frame.converged,
            steps=self.step,
            cell=self.cell,
            energy_eV=frame.energy_eV,
            max_force=frame.max_force,
            fmax=self.fmax,
            stress_GPa=stress,
            pressure_GPa=-float(stress[:3].mean()),
            stress_residual_GPa=frame.stress_residual_GPa,
            pressure_tolerance_GPa=self.pressure_tolerance_GPa,
            start_volume=self.start_volume,
            volume=float(final.get_volume()),
        )
        if not relaxed.converged:
            criteria = (
                f"{row['criterion']} {row['value']:.4f} {row['unit']} (tolerance {row['tolerance']:g})"
                for row in relaxed.table()
            )
            logger.warning("not converged after %d steps: %s", relaxed.steps, ", ".join(criteria))
        return relaxed
