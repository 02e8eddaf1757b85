"""The CHGNet calculator for ASE."""

import logging
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from amorph.chgnet.cpu.memory import MemoryGuard
from amorph.chgnet.guards import check_input
from amorph.chgnet.weights import STOCK_FILES, Checkpoint, load_checkpoint
from amorph.machine.processors import available_processors

logger = logging.getLogger(__name__)

ENGINES = ("auto", "numba", "torch", "chgnet")


class Model(Protocol):
    """What evaluates a checked structure."""

    def evaluate(self, atoms: Atoms, properties: set[str]) -> dict[str, Any]:
        """Compute what is asked, and what comes with it for free."""


class CHGNetCalculator(Calculator):
    """Energies, forces, stresses and magnetic moments of CHGNet; moments only where they are asked for.

    0.3.0 and r2scan, and models fine-tuned from them, run on the fast engines; 0.2.0 and others on the chgnet package.

    Parameters
    ----------
    model
        "0.3.0" (PBE, GGA/GGA+U), "r2scan" or "0.2.0" from the chgnet package, or the path of a fine-tuned ``.pth.tar``.
    device
        "cpu", "cuda", "cuda:1", or "auto" for a GPU where there is one.
    engine
        "numba" (CPU only), "torch" or "chgnet"; "auto" takes the fastest that holds for the model and the device.
    threads
        Threads of the numba engine; by default one for each processor that this process may keep busy (affinity, quota,
        OMP_NUM_THREADS, NUMBA_NUM_THREADS), at most 16. Results depend on positions, cell and this number alone, to the
        last bit.
    trust
        Accept a model file of unknown sha256.
    sha256
        The digest that a user's model file must have; takes the place of `trust`.

    Attributes
    ----------
    model_name : str
        Stock name of the model, or the path of a user's file.
    weights_sha256 : str
        Digest of the file with the weights.
    engine : str
        "numba", "torch" or "chgnet": what evaluates the model.

    Notes
    -----
    Units and signs are ASE's: eV, eV/Å, eV/Å³ (xx yy zz yz xz xy, tension positive), μB.

    Deng et al. (2023), doi:10.1038/s42256-023-00716-3.

    Examples
    --------
    >>> from ase.build import bulk
    >>> atoms = bulk("MgO", "rocksalt", a=4.212)
    >>> atoms.calc = CHGNetCalculator("0.3.0", device="cpu")
    >>> round(float(atoms.get_potential_energy()) / len(atoms), 1)
    -6.3
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress", "magmoms"]
    ignored_changes: ClassVar[set[str]] = {"initial_magmoms", "initial_charges"}

    def __init__(
        self,
        model: Literal["0.3.0", "r2scan", "0.2.0"] | str | Path = "0.3.0",
        *,
        device: Literal["auto", "cpu", "cuda"] | str = "auto",
        engine: Literal["auto", "numba", "torch", "chgnet"] = "auto",
        threads: int | None = None,
        trust: bool = False,
        sha256: str | None = None,
    ) -> None:
        checkpoint = load_checkpoint(model, trust=trust, sha256=sha256)
        self._memory = MemoryGuard()
        self._source = model if str(model) in STOCK_FILES else checkpoint.path.absolute()
        self.model_name = checkpoint.name
        self.weights_sha256 = checkpoint.sha256
        self.device = choose_device(device)
        self.threads = _choose_threads(threads)
        self._model, self.engine = _make_model(checkpoint, self.device, self.threads, engine)
        told = ("weights_sha256", "device", "engine", "threads")
        super().__init__(model=self.model_name, **{name: getattr(self, name) for name in told})
        # A bound method that ASE keeps in the object: in that cycle a dropped calculator would hold on to its memory.
        self.__dict__.pop("get_spin_polarized", None)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle a calculator as what it was made from, with its last structure, results and all else."""
        keywords = {name: getattr(self, name) for name in ("device", "engine", "threads")}
        keywords["sha256"] = self.weights_sha256
        state = {name: value for name, value in self.__dict__.items() if name not in ("_model", "_memory")}
        return _made_again, (type(self), self._source, keywords), state

    @property
    def model(self) -> Model:
        """What evaluates a structure."""
        return self._model

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Compute what is asked; called by ASE.

        Raises
        ------
        ValueError
            The structure has no meaning for CHGNet: atoms closer than 0.5 Å, isolated atoms, values that are not
            finite, unknown elements. The atoms are named.
        """
        super().calculate(atoms, properties, system_changes)
        if system_changes:  # what is there belongs to another structure
            self.results = {}
        check_input(self.atoms)
        self.check_memory(self.atoms)
        self.results.update(finite(self._model.evaluate(self.atoms, set(properties or ["energy"])), self.atoms))

    def check_memory(self, atoms: Atoms) -> None:
        """Refuse a structure that would not fit in the memory of the machine.

        The torch engine knows its counts before it takes memory of its device, and says so itself.
        """
        if self.device == "cpu" and self.engine != "torch":
            package = self.engine == "chgnet"
            self._memory.check(len(atoms), atoms.cell.volume, threads=self.threads, package=package)


def _made_again(kind: type[CHGNetCalculator], source: str | Path, keywords: dict[str, Any]) -> CHGNetCalculator:
    """Make a calculator of a class whose constructor may want other arguments."""
    calculator = kind.__new__(kind)
    CHGNetCalculator.__init__(calculator, source, **keywords)
    return calculator


def finite(results: dict[str, Any], atoms: Atoms) -> dict[str, Any]:
    """Refuse results that are not finite; add ASE's free energy."""
    for name, value in results.items():
        if not np.isfinite(value).all():
            raise ValueError(
                f"CHGNet returned a {name} that is not finite for {atoms.get_chemical_formula()}; check the structure"
            )
    return results | {"free_energy": results["energy"]}


def _make_model(checkpoint: Checkpoint, device: str, threads: int, engine: str) -> tuple[Model, str]:
    """Make the engine that is asked for, or the fastest that holds for a model and a device, and name it."""
    from amorph.chgnet.folding import unsupported

    if engine not in ENGINES:
        raise ValueError(f"engine '{engine}' is unknown; choose {', '.join(ENGINES)}")
    reason = unsupported(checkpoint)
    if reason is not None and engine in ("numba", "torch"):
        raise ValueError(f"CHGNet {checkpoint.name} does not run on engine '{engine}': {reason}; use engine='auto'")
    if engine == "numba" and device != "cpu":
        raise ValueError(f"engine 'numba' runs on the CPU, not on device '{device}'; use engine='torch'")
    if engine == "auto" and reason is None:
        engine = "numba" if device == "cpu" else "torch"
    if engine == "numba":
        from amorph.chgnet.cpu.engine import Engine

        return Engine(checkpoint, threads=threads), "numba"
    if engine == "torch":
        from amorph.chgnet.gpu.engine import TorchEngine

        return TorchEngine(checkpoint, device), "torch"
    from amorph.chgnet.stock import StockModel

    if reason is not None:
        logger.warning("CHGNet %s runs on the chgnet package, not on the fast engine: %s", checkpoint.name, reason)
    return StockModel(checkpoint, device), "chgnet"


def _choose_threads(threads: int | None) -> int:
    if threads is None:
        return min(available_processors(), 16)
    if threads < 1 or int(threads) != threads:
        raise ValueError(f"threads = {threads}; a whole number, at least 1, is needed")
    return int(threads)


def choose_device(device: str) -> str:
    """Resolve "auto" to "cuda" where a GPU is present, and refuse a device that is unknown or absent."""
    if device == "cpu" or (device == "auto" and not _has_gpu_driver()):
        return "cpu"
    import torch

    present = torch.cuda.device_count() if torch.cuda.is_available() else 0
    built = torch.version.cuda is not None or torch.version.hip is not None
    if device == "auto":
        if not built:
            logger.warning("a GPU is here, but torch %s is built for the CPU alone", torch.__version__)
        return "cuda" if present else "cpu"
    kind, _, index = device.partition(":")
    if kind != "cuda" or (":" in device and not index.isdecimal()):
        raise ValueError(f"device '{device}' is unknown; choose auto, cpu, cuda, or cuda:1 and so on")
    why = ""
    if not built:
        why = f"{torch.__version__} is built for the CPU alone; install one built with CUDA, or use device='cpu'"
    elif not present:
        why = "sees no GPU here; use device='cpu'"
    elif int(index or 0) >= present:
        why = f"sees GPUs up to cuda:{present - 1}; use one of these (CUDA_VISIBLE_DEVICES hides the others)"
    if why:
        raise ValueError(f"device '{device}' is not available: torch {why}")
    return device


def _has_gpu_driver() -> bool:
    """Look for a GPU without the second that importing torch takes."""
    return any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd"))
