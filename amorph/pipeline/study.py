"""A study: the TOML file that says what a run does, checked and completed with every default."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Interval

from amorph.analysis.bvs import bvs_map
from amorph.analysis.bvse import bvse_map
from amorph.analysis.electrochemistry import voltage
from amorph.analysis.glass_report import structure_report
from amorph.analysis.isosurface import isosurface
from amorph.analysis.voids import voids
from amorph.analysis.voronoi import free_volume
from amorph.calculators import CHGNET, make_calculator
from amorph.export import write_vasp_input
from amorph.meltquench import QuenchSchedule, check_sampling, melt_quench, named
from amorph.parameters import Fraction, Seed, Unit, checked, parse
from amorph.pipeline.mobility import at_temperature, diffusion
from amorph.reading import read_toml
from amorph.relaxation import relax
from amorph.rocksalt import build, parse_composition
from amorph.run import toml_form
from amorph.substitution import substitute
from amorph.tables import crystals, parse_ion

FOLLOWED = ("MgO", "MoO2", "TiO2_rutile", "Li2TiO3", "LiCoO2", "MgAl2O4", "LiFePO4")
"""Oxides of the table that stand for the elements of a study where it names none."""


@checked
def general(
    *,
    title: str = "",
    seed: Seed = 0,
    replicas: Annotated[int, Interval(ge=1, le=1000)] = 1,
    checkpoint_minutes: Annotated[float, Ge(0), Unit("min")] = 5.0,
) -> None:
    """Set what concerns the run as a whole.

    Parameters
    ----------
    title
        One line that says what the study is for.
    seed
        Seed of every random choice; each stage draws from a stream of its own.
    replicas
        Independent exchanges of the same glass; figures are given as mean and standard deviation over them.
    checkpoint_minutes
        Wall time between checkpoints.
    """


@checked
def control(*, crystal: bool = True, crystal_limit: Fraction | None = None) -> None:
    """Choose what the glass is compared with, and how much crystal it may hold.

    Parameters
    ----------
    crystal
        Take the same built cell, never melted, through relaxation, exchange, relaxation and analysis.
    crystal_limit
        Largest crystal fraction of what passes as a glass, whatever its verdict; without it the verdict decides.
    """


@checked
def reference(*, oxides: tuple[str, ...] | None = None) -> None:
    """Choose the crystals whose relaxed volume, against experiment, says what the model does to volumes.

    Parameters
    ----------
    oxides
        Crystals to relax with the calculator of the final relaxation: names of the table (MgO, MoO2, ...), or files
        whose volume is that of experiment. By default those of MgO, MoO2, TiO2_rutile, Li2TiO3, LiCoO2, MgAl2O4 and
        LiFePO4 that hold no other elements than the composition and the ions of the exchange. MgO also gives the oxygen
        volume of the same potential. One that the calculator cannot do is left out, and a line says so.
    """


@checked
def export(
    *,
    structures: tuple[Literal["cif", "vasp", "lmp"], ...] = ("cif",),
    fields: tuple[Literal["cube", "xsf", "vasp", "vti", "vts"], ...] = ("cube",),
    meshes: tuple[Literal["ply", "stl", "obj", "glb", "vtp"], ...] = ("ply",),
    picture: bool = True,
    picture_width_px: Annotated[int, Interval(ge=200, le=4000), Unit("px")] = 800,
) -> None:
    """Choose what is exported for other programs.

    Parameters
    ----------
    structures
        Formats of the exchanged, relaxed structure.
    fields
        Formats of the bond-valence map (npz is always written).
    meshes
        Formats of the isosurface.
    picture
        Draw structure and isosurface as PNG.
    picture_width_px
        Width of the picture: 800 fill a page on a screen, 1600 one in print.
    """


@checked
def snapshots(*, discard_ps: Annotated[float, Ge(0), Unit("ps")]) -> None:
    """End after the melt, and keep independent snapshots of it for quenches of their own.

    Parameters
    ----------
    discard_ps
        Time from the start of the dynamics that the melting may take; snapshots come from after it.
    """


@checked
def melt(*, run: Path, snapshot: Annotated[int, Ge(0)]) -> None:
    """Begin the quench with a snapshot of another run's melt, with velocities drawn anew.

    Parameters
    ----------
    run
        Run directory of the melt, as seen from this run's directory.
    snapshot
        Number of the snapshot, from 0.
    """


@dataclass(frozen=True)
class Table:
    """A table of the file: the function whose signature defines it, and the study's own defaults."""

    function: Callable[..., Any]
    defaults: Mapping[str, Any]
    required: bool = False
    optional: bool = False
    """Left out of the resolved study unless the file has it."""
    needs: tuple[str, ...] = ()
    """Keys whose default in the function would be wrong here: the file gives them."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that the pipeline sets; no key of the file."""
    follows_exchange: bool = False
    """Its `ion` is by default the one that the exchange puts in."""


TABLES: Mapping[str, Table] = {
    "run": Table(general, {}),
    "calculator": Table(make_calculator, {}),
    "final_calculator": Table(make_calculator, {}),
    "build": Table(build, {}, required=True),
    "starting_relax": Table(relax, {"cell": "isotropic"}),
    "melt_quench": Table(melt_quench, {}),
    "snapshots": Table(snapshots, {}, optional=True),
    "melt": Table(melt, {}, optional=True),
    "relax": Table(relax, {"cell": "isotropic"}),
    "equilibrate": Table(melt_quench, {"schedule": "kawaguchi2025_equilibrate"}),
    "substitute": Table(substitute, {}),
    "anneal": Table(melt_quench, {}, optional=True, needs=("schedule",)),
    "final_relax": Table(relax, {"cell": "free"}),
    "vasp": Table(write_vasp_input, {}, optional=True, fixed={"directory": "vasp"}),
    "reference": Table(reference, {}),
    "free_volume": Table(free_volume, {}, follows_exchange=True),
    "bvs": Table(bvs_map, {}, follows_exchange=True),
    "bvse": Table(bvse_map, {}, optional=True, follows_exchange=True),
    "voids": Table(voids, {"spacing": 0.2}),
    "structure": Table(structure_report, {}, optional=True),
    "isosurface": Table(isosurface, {}),
    "export": Table(export, {}),
    "control": Table(control, {}),
    "diffusion": Table(diffusion, {}, optional=True),
    "voltage": Table(voltage, {}, optional=True, fixed={"metal_energy_eV": 0.0}, follows_exchange=True),
}

DYNAMICS = tuple(name for name, table in TABLES.items() if table.function is melt_quench)
"""Tables of dynamics along a schedule."""


@dataclass(frozen=True)
class Study:
    """A resolved study: for each table the parameters of its stage, defaults filled in."""

    tables: Mapping[str, Mapping[str, Any]]

    def __getitem__(self, table: str) -> dict[str, Any]:
        return dict(self.tables[table])

    @property
    def written(self) -> dict[str, Any]:
        """The tables as a TOML file has them; one that is not used is left out: its header alone would ask for it."""
        return {name: table for name, table in toml_form(self.tables).items() if table}

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return int(self.tables["run"]["seed"])

    @property
    def reference_files(self) -> list[Path]:
        """Files of its own reference crystals."""
        return [Path(name) for name in self.tables["reference"]["oxides"] if name not in crystals.BY_NAME]

    @property
    def leaves_ion(self) -> bool:
        """Whether the exchanged cell holds the ion whose motion is of interest: not after all of them were removed."""
        return not _removes(self["substitute"]) or self["substitute"]["fraction"] < 1.0

    @property
    def mobile_ion(self) -> str:
        """The ion of the exchanged cell: the one put in, or after a removal the one that left."""
        return _mobile_ion(self["substitute"])

    @property
    def foreign_factories(self) -> tuple[str, ...]:
        """Factories of its calculators that are not amorph's own: code that the file names, and that a run calls."""
        named = (str(self.tables[table]["factory"]) for table in ("calculator", "final_calculator"))
        return tuple(dict.fromkeys(factory for factory in named if factory != CHGNET))


def read_study(path: Path) -> Study:
    """Read a study from a TOML file.

    Raises
    ------
    ValueError
        One line that names the file and the table, key or value that is wrong.
    """
    content = read_toml(path, "a study's")
    try:
        return resolve(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def resolve(content: Mapping[str, Any]) -> Study:
    """Check a study's tables against the signatures of their stages and fill in every default."""
    for name, table in content.items():
        if not isinstance(table, Mapping):
            raise ValueError(f"{name} = {table!r} stands outside a table; write it below a header such as [run]")
        if name not in TABLES:
            near = difflib.get_close_matches(name, TABLES, n=1)
            remedy = f"did you mean [{near[0]}]?" if near else f"known tables are {', '.join(TABLES)}"
            raise ValueError(f"unknown table [{name}]; {remedy}")
    for name, table in TABLES.items():
        if table.required and name not in content:
            raise ValueError(f"the table [{name}] is missing; every study needs it")
    asked = [name for name, table in TABLES.items() if table.optional and name in content]
    if "snapshots" in asked and len(asked) > 1:
        name = next(name for name in asked if name != "snapshots")
        raise ValueError(
            f"[{name}] asks for what comes after the melt, where a study with [snapshots] ends; leave one out"
        )
    given = {name: dict(content.get(name, {})) for name in TABLES}
    # Another factory has keys of its own; otherwise the table says only what differs.
    if "factory" not in given["final_calculator"]:
        given["final_calculator"] = given["calculator"] | given["final_calculator"]
    substitution = parse(substitute, given["substitute"], table="substitute")
    inserted = _mobile_ion(substitution)
    for name in (name for name, table in TABLES.items() if table.follows_exchange):
        given[name].setdefault("ion", inserted)
    if given["reference"].get("oxides") is None:
        given["reference"]["oxides"] = _oxides_of(parse(build, given["build"], table="build"), substitution)
    tables: dict[str, Mapping[str, Any]] = {}
    for name, values in given.items():
        table = TABLES[name]
        if table.optional and name not in content:
            tables[name] = {}
            continue
        if unknown := set(table.fixed) & set(values):
            raise ValueError(f"unknown key '{min(unknown)}' in [{name}]; the run directory decides it")
        if absent := set(table.needs) - set(values):
            raise ValueError(f"'{min(absent)}' is missing in [{name}]; give it a value")
        defaults = {**table.defaults, **dict.fromkeys(table.needs)}
        whole = parse(table.function, {**values, **table.fixed}, table=name, defaults=defaults)
        if table.function is melt_quench:
            whole["schedule"] = _schedule(name, whole)
        tables[name] = {key: value for key, value in whole.items() if key not in table.fixed}
    study = Study(tables)
    if missing := [path for path in study.reference_files if not path.is_file()]:
        raise ValueError(
            f"oxides in [reference] names {missing[0]}, which is no file and no crystal of the table: "
            f"{', '.join(crystals.BY_NAME)}"
        )
    if moving := tables["diffusion"]:
        if len({f"{kelvin:g}" for kelvin in moving["temperatures_K"]}) < len(moving["temperatures_K"]):
            raise ValueError(
                f"temperatures_K = {list(moving['temperatures_K'])} in [diffusion] has one twice; give each once"
            )
        for kelvin in moving["temperatures_K"]:
            at_temperature(moving, kelvin, inserted)
    free = [name for name in ("starting_relax", "relax", "final_relax") if tables[name]["cell"] == "free"]
    if "vti" in tables["export"]["fields"] and (free or tables["vasp"]):
        raise ValueError(
            f"export.fields names vti, which holds right angles only, and [{(free or ['vasp'])[-1]}] leaves the cell "
            "free; name vts"
        )
    return study


def _oxides_of(built: Mapping[str, Any], substitution: Mapping[str, Any]) -> tuple[str, ...]:
    """Choose the reference oxides that hold the elements of a study and no others."""
    ions = [substitution["ion"], *([] if _removes(substitution) else [substitution["by"]])]
    there = {*parse_composition(built["composition"])[0], *(parse_ion(ion).element for ion in ions), "O"}
    sites = {name: {site[0] for site in crystals.BY_NAME[name].sites} for name in FOLLOWED}
    return tuple(name for name, elements in sites.items() if elements <= there)


def _removes(substitution: Mapping[str, Any]) -> bool:
    return str(substitution["by"] or "vacancy").strip().lower() == "vacancy"


def _mobile_ion(substitution: Mapping[str, Any]) -> str:
    """Give the ion whose sites are mapped: after a plain removal the one that left."""
    return str(substitution["ion"] if _removes(substitution) else substitution["by"])


def _schedule(table: str, values: Mapping[str, Any]) -> QuenchSchedule:
    """Resolve a schedule that is a name, and refuse now what hours of dynamics would end in."""
    try:
        schedule = named(values["schedule"])
        check_sampling(schedule, values["sample_every"])
    except ValueError as error:
        raise ValueError(f"{error} (in [{table}])") from None
    return schedule
