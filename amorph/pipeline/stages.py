"""What each stage of a run does: reads one structure, writes into its folder, returns what it found."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from amorph.analysis.bvs import bvs_map_of
from amorph.analysis.crystallinity import crystallinity
from amorph.analysis.isosurface import Mesh, isosurface
from amorph.calculators import calculator_name
from amorph.export import LAST_WRITTEN, write_mesh, write_structure, write_vasp_input
from amorph.export.fields import write_field
from amorph.export.picture import write_picture
from amorph.meltquench import check_sampling, judge, melt_pressures_GPa, named
from amorph.pipeline import analyses
from amorph.pipeline.recording import read_thermo, record_dynamics, record_relaxation, sampled_frames
from amorph.pipeline.results import Analysed, Quench, References, Relaxation
from amorph.reading import read_field, read_structure, read_vasp_relaxed
from amorph.relaxation import relaxation
from amorph.rocksalt import Built, build
from amorph.run import Stage, Stopped, Work, make_folder, remove_unfinished
from amorph.structure import anion_mask, density_g_cm3
from amorph.substitution import Substituted, substitute
from amorph.tables import crystals

log = logging.getLogger(__name__)

ANALYSED = ("free_volume", "bvs", "bvse", "voids", "structure")
"""Tables of a study that its analyses read."""

VOLUME_TOLERANCE = 0.03
"""Deviation of a reference crystal's volume from experiment above which the report warns."""


class WaitingForVasp(Stopped):
    """The input for VASP is written; the run continues when its result lies beside it."""


@dataclass(frozen=True)
class Setting:
    """What a stage needs besides its parameters and its structure."""

    calculator: BaseCalculator
    """What moves the atoms."""
    work: Work
    """Progress, checkpoints, and who asks to stop."""
    rng: Callable[[str], np.random.Generator]
    """Makes a stage's own stream of random numbers from its name."""
    melted: bool | None = None
    """Whether the structure came out of a melt; None where that is not known yet."""
    references: References | None = None
    """Crystals of known volume, relaxed by the same potential; None where there are none."""
    model: str = ""
    """What relaxed the exchanged structure."""
    cutoffs: Mapping[str, float] | None = None
    """Longest bonds of the glass beside which a structure is set [Å]; None where it is the glass itself."""


def build_stage(stage: Stage, _: Atoms, setting: Setting) -> Built:
    """Build the rocksalt supercell."""
    built = build(**stage.parameters, rng=setting.rng(stage.name))
    stage.write_structure(built.atoms)
    log.info(
        "%s: %d atoms, residual charge %+g e, a = %.4f Å (%s), %.3f g/cm³",
        built.formula,
        len(built.atoms),
        built.residual_charge,
        built.lattice_constant,
        built.lattice_constant_source,
        built.density_g_cm3,
    )
    return built


def quench_stage(stage: Stage, atoms: Atoms, setting: Setting) -> Quench:
    """Run a schedule of molecular dynamics, from its checkpoint where there is one, and judge what it made."""
    parameters = stage.parameters
    schedule = named(parameters["schedule"])
    check_sampling(schedule, parameters["sample_every"])
    record_dynamics(stage, atoms, setting.calculator, setting.rng(stage.name), setting.work)
    thermo = read_thermo(stage.directory / "thermo.csv")
    judgement = judge(
        sampled_frames(stage.directory / "trajectory.extxyz"),
        [row.step for row in thermo],
        schedule,
        start=atoms,
        supercell=parameters["supercell"],
        anion=parameters["anion"],
        melted=setting.melted,
    )
    stage.write_structure(judgement.last, like=atoms)
    if judgement.melt is not None:
        log.info("the melt: %s", judgement.melt.reason)
    pressures = melt_pressures_GPa(thermo, schedule) or (None, None)
    if pressures[0] is not None:
        log.info("pressure of the melt %.1f GPa, of which virial %.1f GPa", *pressures)
    log.info("%s: %s", stage.name, judgement.glass.reason)
    model, time_ps = calculator_name(setting.calculator), schedule.time_ps(schedule.steps)
    return Quench(model, schedule.steps, time_ps, judgement.glass, judgement.melt, *pressures)


def relax_stage(stage: Stage, atoms: Atoms, setting: Setting) -> Relaxation:
    """Minimise the energy, from the checkpoint where there is one, and judge the minimised structure."""
    relaxed = record_relaxation(stage, atoms, setting.calculator, setting.work)
    found = _relaxation(stage, atoms, relaxed.atoms, setting, relaxed, calculator_name(setting.calculator))
    log.info(
        "%s %s after %d steps: largest force %.4f eV/Å, pressure %.3f GPa, volume %+.2f %%; %s",
        stage.name,
        "converged" if relaxed.converged else "NOT CONVERGED",
        relaxed.steps,
        relaxed.max_force,
        relaxed.pressure_GPa,
        100 * relaxed.volume_change,
        found.crystallinity.reason,
    )
    return found


def vasp_stage(stage: Stage, atoms: Atoms, setting: Setting) -> Relaxation:
    """Take the relaxation from VASP: write its input, and read its result when that is there.

    Raises
    ------
    WaitingForVasp
        There is no result yet.
    """
    folder = stage.directory / "vasp"
    results = [path for name in ("vasprun.xml", "CONTCAR") if (path := folder / name).exists() and path.stat().st_size]
    if not results:
        if not (folder / LAST_WRITTEN).exists():
            make_folder(folder)
            remove_unfinished(folder)
            write_vasp_input(folder, atoms, **stage.parameters)
        raise WaitingForVasp(
            f"run VASP in {folder} (its POTCAR from POTCAR.spec), leave vasprun.xml or CONTCAR there, "
            "and run the same command again"
        )
    relaxed = read_vasp_relaxed(results[0], atoms)
    found = _relaxation(stage, atoms, relaxed.atoms, setting, relaxed, "VASP")
    log.info("%s: taken from %s; %s", stage.name, results[0], found.crystallinity.reason)
    return found


def _relaxation(stage: Stage, before: Atoms, after: Atoms, setting: Setting, relaxed: Any, model: str) -> Relaxation:
    """Keep the relaxed structure, and judge it."""
    after.info = dict(before.info)
    stage.write_structure(after)
    return Relaxation(
        model,
        relaxed.converged,
        relaxed.steps,
        cell_volume=after.get_volume(),
        volume_change=after.get_volume() / before.get_volume() - 1.0,
        density_g_cm3=density_g_cm3(after),
        cell_lengths_and_angles=after.cell.cellpar().tolist(),
        crystallinity=crystallinity(after, melted=setting.melted),
        details=relaxed.figures(),
    )


def substitute_stage(stage: Stage, atoms: Atoms, setting: Setting) -> Substituted:
    """Exchange the ions."""
    substituted = substitute(atoms, **stage.parameters, rng=setting.rng(stage.name))
    stage.write_structure(substituted.atoms)
    log.info(
        "%s: %d %s become %d %s and %d vacancies, %d stay; charge %+g e",
        substituted.formula,
        substituted.n_new + substituted.n_vacancies,
        substituted.ion,
        substituted.n_new,
        substituted.by or "nothing",
        substituted.n_vacancies,
        substituted.n_kept,
        substituted.residual_charge,
    )
    return substituted


def reference_stage(stage: Stage, _: Atoms, setting: Setting) -> References:
    """Relax crystals of known volume: what the model does to volumes, and its own oxygen volume."""
    work, model = setting.work, calculator_name(setting.calculator)
    asked = {Path(name).stem: _reference_crystal(name) for name in stage.parameters["oxides"]}
    refused = {name: said for name, crystal in asked.items() if (said := _refusal(crystal, setting.calculator))}
    for name, said in refused.items():
        log.warning("%s cannot do %s, which is left out: %s", model, name, said)
    ratios: dict[str, float] = {}
    oxygen_volume, converged, steps = None, True, 0
    with work.progress.task("reference crystals", len(asked) - len(refused)) as update:
        for name, crystal in asked.items():
            if name in refused:
                continue
            frames = relaxation(
                crystal, setting.calculator, cell="free", fmax=0.02, pressure_tolerance_GPa=0.1, max_steps=300
            )
            for frame in frames:
                work.stop.check(f"at step {frame.step} of {name}, which starts anew")
            relaxed = frame.result()
            ratios[name] = relaxed.volume / crystal.get_volume()
            converged &= relaxed.converged
            steps = max(steps, relaxed.steps)
            if name == "MgO":
                oxygen_volume = relaxed.volume / len(crystal)
            if abs(ratios[name] - 1) > VOLUME_TOLERANCE:
                log.warning("%s makes %s %+.1f %% in volume against experiment", model, name, 100 * (ratios[name] - 1))
            update(len(ratios), name)
    return References(model, converged, steps, ratios, oxygen_volume, refused)


def _reference_crystal(name: str) -> Atoms:
    """Give a crystal of the table by its name, or one of a file."""
    return crystals.BY_NAME[name].atoms() if name in crystals.BY_NAME else read_structure(name)


def _refusal(crystal: Atoms, calculator: BaseCalculator) -> str:
    """Ask a calculator for a crystal's forces; what it says where it cannot, in one line, and nothing where it can."""
    trial = crystal.copy()
    trial.calc = calculator
    try:
        trial.get_forces()
    except Exception as error:  # each potential has its own way to say that it lacks an element
        return " ".join(f"{type(error).__name__}: {error}".split())
    return ""


def analysis_stage(stage: Stage, atoms: Atoms, setting: Setting) -> Analysed:
    """Ask everything that a run asks of the exchanged structure."""
    about = (setting.references, setting.model, stage.directory, setting.cutoffs)
    subject = analyses.Subject(atoms, stage.parameters, *about)
    asked = {entry.name: entry.measure(subject) for entry in analyses.ANALYSES}
    stage.write_structure(atoms)
    return Analysed(
        volume_per_anion=float(atoms.cell.volume / anion_mask(atoms).sum()),
        density_g_cm3=density_g_cm3(atoms),
        crystallinity=crystallinity(atoms, melted=setting.melted),
        found={name: result for name, result in asked.items() if result is not None},
    )


def export_stage(stage: Stage, atoms: Atoms, setting: Setting) -> Mesh:
    """Write structure, map, surface and picture for other programs."""
    chosen = stage.parameters["export"]
    bvs = bvs_map_of(*read_field(stage.inputs["bvs.npz"]))
    mesh = isosurface(bvs, **stage.parameters["isosurface"])
    for suffix in chosen["structures"]:
        write_structure(stage.directory / f"structure.{suffix}", atoms)
    for suffix in chosen["fields"]:
        write_field(stage.directory / f"bvs.{suffix}", bvs.field, atoms)
    for suffix in chosen["meshes"]:
        write_mesh(stage.directory / f"isosurface.{suffix}", mesh)
    if chosen["picture"]:
        blocking = f"{bvs.blocking} atoms block within {bvs.exclusion_radius:g} Å"
        caption = f"{atoms.get_chemical_formula(mode='metal')}, {setting.model}; {blocking}"
        width = chosen["picture_width_px"]
        write_picture(stage.directory / "picture.png", atoms, mesh, mobile=bvs.ion, caption=caption, width=width)
    return mesh
