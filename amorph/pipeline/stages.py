"""What each stage of a run does: reads one structure, writes into its folder, returns its figures."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from amorph.analysis.bvs import bvs_map
from amorph.analysis.crystallinity import crystallinity
from amorph.analysis.isosurface import isosurface
from amorph.analysis.voronoi import free_volume
from amorph.calculators import calculator_name
from amorph.export import LAST_WRITTEN, write_mesh, write_structure, write_vasp_input
from amorph.export.fields import write_field
from amorph.export.picture import write_picture
from amorph.meltquench import check_sampling, judge, melt_pressures_GPa, named
from amorph.pipeline.figures import (
    bond_valence_maps,
    bvs_figures,
    connection_figures,
    crystallinity_figures,
    density_g_cm3,
    free_volume_figures,
    site_energy_figures,
    spread_figures,
    void_figures,
)
from amorph.pipeline.recording import read_thermo, record_dynamics, record_relaxation
from amorph.reading import read_trajectory, read_vasp_relaxed
from amorph.relaxation import relaxation
from amorph.rocksalt import build
from amorph.run import Stage, Stopped, Work, make_folder, remove_unfinished, write_csv
from amorph.substitution import substitute
from amorph.tables import crystals

log = logging.getLogger(__name__)

Figures = Mapping[str, Any]
VOLUME_TOLERANCE = 0.03
"""Deviation of a reference crystal's volume from experiment above which the report warns."""


class WaitingForVasp(Stopped):
    """The input for VASP is written; the run continues when its result lies beside it."""


def build_stage(stage: Stage, _atoms: Atoms, *, rng: np.random.Generator) -> Figures:
    """Build the rocksalt supercell."""
    built = build(**stage.parameters, rng=rng)
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
    return {
        "formula": built.formula,
        "atoms": len(built.atoms),
        "counts": built.counts,
        "oxidation_states": built.oxidation_states,
        "deviation": built.deviation,
        "residual_charge": built.residual_charge,
        "lattice_constant": built.lattice_constant,
        "lattice_constant_source": built.lattice_constant_source,
        "density_g_cm3": built.density_g_cm3,
    }


def melt_quench_stage(
    stage: Stage, atoms: Atoms, *, calculator: BaseCalculator, rng: np.random.Generator, melted: bool | None, work: Work
) -> Figures:
    """Run a schedule of molecular dynamics, from its checkpoint where there is one, and judge what it made."""
    parameters = stage.parameters
    schedule = named(parameters["schedule"])
    check_sampling(schedule, parameters["sample_every"])
    record_dynamics(stage, atoms, calculator, rng, work)
    frames = read_trajectory(stage.directory / "trajectory.extxyz")
    thermo = read_thermo(stage.directory / "thermo.csv")
    judgement = judge(
        frames,
        [row.step for row in thermo],
        schedule,
        start=atoms,
        supercell=parameters["supercell"],
        anion=parameters["anion"],
        melted=melted,
    )
    final = frames[-1].copy()
    final.wrap()
    final.info = dict(atoms.info)
    stage.write_structure(final)
    figures: dict[str, Any] = {
        "model": calculator_name(calculator),
        "steps": schedule.steps,
        "duration_ps": schedule.time_ps(schedule.steps),
        "after_quench": crystallinity_figures(judgement.glass),
    }
    if judgement.melt is not None:
        figures["melt"] = crystallinity_figures(judgement.melt)
        log.info("the melt: %s", judgement.melt.reason)
    if (pressures := melt_pressures_GPa(thermo, schedule)) is not None:
        figures["melt_pressure_GPa"], figures["melt_virial_pressure_GPa"] = pressures
        log.info("pressure of the melt %.1f GPa, of which virial %.1f GPa", *pressures)
    log.info("%s: %s", stage.name, judgement.glass.reason)
    return figures


def relax_stage(
    stage: Stage,
    atoms: Atoms,
    *,
    calculator: BaseCalculator,
    work: Work,
    melted: bool | None = None,
    supercell: Any = None,
) -> Figures:
    """Minimise the energy, from the checkpoint where there is one, and judge the minimised structure."""
    relaxed = record_relaxation(stage, atoms, calculator, work)
    final = relaxed.atoms
    final.info = dict(atoms.info)
    stage.write_structure(final)
    judged = crystallinity(final, supercell=supercell, melted=melted)
    log.info(
        "%s %s after %d steps: largest force %.4f eV/Å, pressure %.3f GPa, volume %+.2f %%; %s",
        stage.name,
        "converged" if relaxed.converged else "NOT CONVERGED",
        relaxed.steps,
        relaxed.max_force,
        relaxed.pressure_GPa,
        100 * relaxed.volume_change,
        judged.reason,
    )
    return {
        "model": calculator_name(calculator),
        "converged": relaxed.converged,
        "steps": relaxed.steps,
        "criteria": relaxed.table(),
        "energy_eV": relaxed.energy_eV,
        "pressure_GPa": relaxed.pressure_GPa,
        "stress_GPa": relaxed.stress_GPa,
        "cell_lengths_and_angles": final.cell.cellpar(),
        "cell_volume": relaxed.volume,
        "volume_change": relaxed.volume_change,
        "density_g_cm3": density_g_cm3(final),
        "crystallinity": crystallinity_figures(judged),
    }


def vasp_stage(stage: Stage, atoms: Atoms, *, melted: bool | None) -> Figures:
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
    final = relaxed.atoms
    final.info = dict(atoms.info)
    stage.write_structure(final)
    judged = crystallinity(final, melted=melted)
    log.info("%s: taken from %s; %s", stage.name, results[0], judged.reason)
    return {
        "model": "VASP",
        # A CONTCAR does not tell; what is unknown counts as a failed check.
        "converged": relaxed.converged,
        "steps": relaxed.steps,
        "max_force": relaxed.max_force,
        "stress_GPa": relaxed.stress_GPa,
        "cell_lengths_and_angles": final.cell.cellpar(),
        "cell_volume": final.get_volume(),
        "volume_change": final.get_volume() / atoms.get_volume() - 1.0,
        "density_g_cm3": density_g_cm3(final),
        "crystallinity": crystallinity_figures(judged),
    }


def substitute_stage(stage: Stage, atoms: Atoms, *, rng: np.random.Generator) -> Figures:
    """Exchange the ions."""
    substituted = substitute(atoms, **stage.parameters, rng=rng)
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
    return {
        "formula": substituted.formula,
        "atoms": len(substituted.atoms),
        "available": substituted.n_available,
        "new": substituted.n_new,
        "vacancies": substituted.n_vacancies,
        "kept": substituted.n_kept,
        "charge_before": substituted.charge_before,
        "residual_charge": substituted.residual_charge,
        "replaced": substituted.replaced,
        "removed": substituted.removed,
    }


def reference_stage(stage: Stage, *, calculator: BaseCalculator, work: Work) -> Figures:
    """Relax crystals of known volume: what the model does to volumes, and its own oxygen volume."""
    oxides = stage.parameters["oxides"]
    figures: dict[str, Any] = {
        "model": calculator_name(calculator),
        "volume_ratio": {},
        "oxygen_volume": None,
        "converged": True,
        "steps": 0,
    }
    with work.progress.task("reference crystals", len(oxides)) as update:
        for count, name in enumerate(oxides):
            crystal = crystals.BY_NAME[name].atoms()
            frames = relaxation(crystal, calculator, cell="free", fmax=0.02, pressure_tolerance_GPa=0.1, max_steps=300)
            for frame in frames:
                work.stop.check(f"at step {frame.step} of {name}, which starts anew")
            relaxed = frame.result()
            ratio = relaxed.volume / crystal.get_volume()
            figures["volume_ratio"][name] = ratio
            figures["converged"] &= relaxed.converged
            figures["steps"] = max(figures["steps"], relaxed.steps)
            if name == "MgO":
                figures["oxygen_volume"] = relaxed.volume / len(crystal)
            if abs(ratio - 1) > VOLUME_TOLERANCE:
                log.warning(
                    "%s makes %s %+.1f %% in volume against experiment", figures["model"], name, 100 * (ratio - 1)
                )
            update(count + 1, name)
    return figures


def analysis_stage(
    stage: Stage,
    atoms: Atoms,
    *,
    oxygen_volume: float | None,
    model: str,
    melted: bool | None,
    rng: np.random.Generator,
) -> Figures:
    """Measure the free volume, the maps and how the room for the ion connects and spreads."""
    volumes = free_volume(atoms, **stage.parameters["free_volume"])
    write_csv(stage.directory / "voronoi_species.csv", volumes.table())
    write_csv(stage.directory / "voronoi_atoms.csv", volumes.per_atom_table())
    figures: dict[str, Any] = {
        "crystallinity": crystallinity_figures(crystallinity(atoms, melted=melted)),
        "volume_per_anion": volumes.cell_volume / volumes.symbols.count(volumes.anion),
        "density_g_cm3": density_g_cm3(atoms),
        "free_volume": free_volume_figures(volumes),
    }
    if oxygen_volume is not None and volumes.anion == "O":
        same = volumes.with_oxygen_volume(oxygen_volume, source=f"MgO relaxed by {model}")
        figures["free_volume_same_potential"] = free_volume_figures(same)
    chosen = stage.parameters["bvs"]
    maps = bond_valence_maps(atoms, chosen)
    figures["bvs"] = {blocking: bvs_figures(bvs) for blocking, bvs in maps.items()}
    figures["connection"] = connection_figures(maps)
    figures["spread"] = spread_figures(maps, atoms, rng=rng)
    figures["voids"] = void_figures(atoms, chosen["ion"], stage.parameters["voids"])
    write_field(stage.directory / "bvs.npz", maps[chosen["blocking"]].field, atoms)
    if stage.parameters["bvse"]:
        figures["bvse"], site_energy = site_energy_figures(atoms, stage.parameters["bvse"])
        write_field(stage.directory / "bvse.npz", site_energy, atoms)
    stage.write_structure(atoms)
    return figures


def export_stage(stage: Stage, atoms: Atoms, *, model: str) -> Figures:
    """Write structure, map, surface and picture for other programs."""
    chosen = stage.parameters["export"]
    bvs = bvs_map(atoms, **stage.parameters["bvs"])
    mesh = isosurface(bvs, **stage.parameters["isosurface"])
    for suffix in chosen["structures"]:
        write_structure(stage.directory / f"structure.{suffix}", atoms)
    for suffix in chosen["fields"]:
        write_field(stage.directory / f"bvs.{suffix}", bvs.field, atoms)
    for suffix in chosen["meshes"]:
        write_mesh(stage.directory / f"isosurface.{suffix}", mesh)
    if chosen["picture"]:
        blocking = f"{bvs.blocking} atoms block within {bvs.exclusion_radius:g} Å"
        caption = f"{atoms.get_chemical_formula(mode='metal')}, {model}; {blocking}"
        write_picture(stage.directory / "picture.png", atoms, mesh, mobile=bvs.ion, caption=caption)
    return {"surface_area": mesh.area, "triangles": len(mesh.faces)}
