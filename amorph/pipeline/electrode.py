"""At what voltage does the ion leave? Its removal from the exchanged cell, one relaxation after the other."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms

from amorph.analysis.electrochemistry import Voltage, metal_crystal, moments_by, voltage
from amorph.calculators import calculator_name
from amorph.figures import restored
from amorph.pipeline.results import Removal
from amorph.pipeline.stages import Setting
from amorph.relaxation import relaxation
from amorph.run import Stage, read_json, read_structure, sha256_of, structure_text, write_atomically, write_json
from amorph.tables import parse_ion

log = logging.getLogger(__name__)

STEPS: Final = "removal.extxyz"
"""Every relaxed structure, in the order of the relaxations."""


@dataclass(frozen=True)
class _Minimum:
    """A relaxed structure, as its file keeps it."""

    atoms: Atoms
    energy_eV: float
    converged: bool
    steps: int


@dataclass
class _Relaxations:
    """Relaxes one structure after the other, and keeps each in two files: a run continued has those that were done."""

    stage: Stage
    setting: Setting
    how: Mapping[str, Any]
    done: list[_Minimum] = field(default_factory=list)

    def __call__(self, atoms: Atoms, **other: Any) -> _Minimum:
        path = self.stage.directory / f"checkpoint_{self._digest}_{len(self.done):03d}.extxyz"
        mark = path.with_suffix(".json")
        if not mark.exists():
            self._relax(atoms, path, {**self.how, **other})
        try:
            record = read_json(mark)
            if record.pop("structure_sha256") != sha256_of(path):
                raise ValueError(f"{path.name} is not what it says")
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{mark} is damaged ({error}); remove it to redo this relaxation") from None
        # what was rounded by the file, in an uninterrupted run too
        self.done.append(_Minimum(read_structure(path), **record))
        return self.done[-1]

    @property
    def _digest(self) -> str:
        """Tell the relaxations of this very stage from those of other parameters or of another structure."""
        return hashlib.sha256(json.dumps(self.stage.made_for, sort_keys=True).encode()).hexdigest()[:12]

    def _relax(self, atoms: Atoms, path: Path, how: Mapping[str, Any]) -> None:
        for frame in relaxation(atoms, self.setting.calculator, **how):
            self.setting.work.stop.check(f"at step {frame.step} of relaxation {len(self.done)}, which starts anew")
        relaxed = frame.result()
        write_atomically(path, structure_text(relaxed.atoms))
        record = {"energy_eV": relaxed.energy_eV, "converged": relaxed.converged, "steps": relaxed.steps}
        write_json(path.with_suffix(".json"), {**record, "structure_sha256": sha256_of(path)})


def removal_stage(stage: Stage, atoms: Atoms, setting: Setting) -> Removal:
    """Remove the ion step by step, relax each step and the metal, and give the voltages between."""
    chosen = dict(stage.parameters["voltage"])
    how = {name: value for name, value in stage.parameters.items() if name != "voltage"}
    relax = _Relaxations(stage, setting, how)
    crystal = metal_crystal(parse_ion(chosen["ion"]).element)
    metal = relax(crystal, cell="free")
    found = voltage(
        atoms,
        relax,
        **{**chosen, "metal_energy_eV": metal.energy_eV / len(crystal)},
        rng=setting.rng(stage.name),
        moments=moments_by(setting.calculator, metal.atoms),
        progress=setting.work.progress.task,
    )
    write_atomically(stage.directory / STEPS, b"".join(structure_text(one.atoms) for one in relax.done))
    result = Removal(
        calculator_name(setting.calculator),
        all(one.converged for one in relax.done),
        max(one.steps for one in relax.done),
        found.average_voltage_V,
        found.standard_error,
        found.figures(),
        found.rows(),
    )
    log.info(
        "%s leaves at %.3f V, %.0f mAh/g, volume %+.1f %%",
        found.ion,
        found.average_voltage_V,
        found.capacity_mAh_per_g,
        100 * found.volume_change,
    )
    return result


def relaxations(table: Mapping[str, Any]) -> int:
    """Count the relaxations of a study's removal, that of the metal among them."""
    return 1 + sum(1 if share in (0.0, 1.0) else table["choices"] for share in table["removed"])


def try_removal(table: Mapping[str, Any], atoms: Atoms, rng: np.random.Generator) -> None:
    """Refuse what the removal would refuse, with relaxations that move nothing.

    Raises
    ------
    ValueError
        What :func:`amorph.analysis.electrochemistry.voltage` raises.
    """
    voltage(atoms, lambda start: _Minimum(start, 0.0, True, 0), **table, rng=rng)


def voltage_found(figures: Mapping[str, Any]) -> Voltage:
    """Read back the voltage that a stage found."""
    found: Voltage = restored(Voltage, figures["voltage"])
    return found
