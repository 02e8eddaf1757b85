"""An ensemble: one study, what is varied in it, and how many members each combination has."""

import copy
import difflib
import itertools
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import tomli_w
from annotated_types import Ge, Gt

from amorph.ensemble.shared_melt import melt, snapshots_of, split
from amorph.ensemble.status import sealed
from amorph.parameters import Count, Seed, Unit, checked, parse
from amorph.pipeline import Study, read_study, rehearse, resolve
from amorph.reading import read_toml
from amorph.run import binding, difference, refuse_links, toml_form, write_atomically, write_csv
from amorph.run.lock import locked

KEPT: Final = ("ensemble.toml", "study.toml")
"""Files of an ensemble's directory that make it again."""

MOST_MEMBERS: Final = 10_000
"""More members than this must be a slip."""


@checked
def ensemble(*, study: Path, title: str = "", seed: Seed = 0, members: Count = 1) -> None:
    """Set what concerns the ensemble as a whole.

    Parameters
    ----------
    study
        The study that every member runs, as a path beside the ensemble's file.
    title
        One line that says what the ensemble is for.
    seed
        Seed of the ensemble; each member has an independent stream of its own.
    members
        Members of each combination of the varied values. More may be asked for later: the first ones stay the same.
    """


@checked
def slurm(
    *,
    options: Mapping[str, str | int] = {},
    setup: Sequence[str] = (),
    seconds_to_stop: Annotated[int, Gt(0), Unit("s")] = 120,
) -> None:
    """Set how the members are queued.

    Parameters
    ----------
    options
        Options of sbatch without their dashes: time = "24:00:00", cpus-per-task = 4, gres = "gpu:1".
    setup
        Lines of shell before the run: "module load python", "source venv/bin/activate".
    seconds_to_stop
        Time before the limit of the queue at which a run is asked to write its checkpoint [s].
    """


@checked
def parsl(
    *,
    provider: Literal["local", "slurm", "pbs", "lsf"] = "local",
    workers: Count = 1,
    cores_per_worker: Count = 1,
    gpus: Annotated[int, Ge(0)] = 0,
    blocks: Count = 1,
    walltime_hours: Annotated[float, Gt(0), Unit("h")] = 24.0,
    seconds_to_stop: Annotated[int, Gt(0), Unit("s")] = 120,
    queue: str = "",
    account: str = "",
    directives: Sequence[str] = (),
    setup: Sequence[str] = (),
) -> None:
    """Set how Parsl runs the members.

    Parameters
    ----------
    provider
        Where: processes of this machine, or the jobs of a queue.
    workers
        Members at a time in a block, which is one job on one node.
    cores_per_worker
        Cores of each member.
    gpus
        GPUs of a block; each worker is pinned to one of its own.
    blocks
        Blocks at a time.
    walltime_hours
        Time of a block in the queue [h]. Members that are not done by then go on in the next block.
    seconds_to_stop
        Time before the end of a block at which its members are to have begun to write their checkpoints [s].
    queue
        Queue, or partition, of the blocks.
    account
        Account, or project, that pays.
    directives
        Further lines at the head of a block's script: "#SBATCH --constraint=milan".
    setup
        Lines of shell before the workers: "module load python", "source venv/bin/activate".
    """


@dataclass(frozen=True)
class Member:
    """One run of the ensemble."""

    name: str
    """Folder of its run directory: number of the combination, number among its members."""
    point: int
    """Number of the combination of varied values."""
    varied: Mapping[str, Any]
    """The varied keys and their values."""
    seed: int
    """Seed of its run."""
    study: Study
    """What it runs, resolved."""
    melt: str = ""
    """Folder of the melt that it quenches; empty where it melts by itself."""
    snapshot: int | None = None
    """Number of the snapshot of that melt."""

    @property
    def text(self) -> bytes:
        """The study as the TOML file that ``amorph run`` takes."""
        return tomli_w.dumps(self.study.written).encode()


@dataclass(frozen=True)
class Ensemble:
    """All members, in order."""

    title: str
    """One line that says what the ensemble is for."""
    vary: Mapping[str, Sequence[Any]]
    """Values of each varied key, every combination of which is a point."""
    members: tuple[Member, ...]
    """The members, point after point."""
    slurm: Mapping[str, Any]
    """How they are queued: the table [slurm]."""
    parsl: Mapping[str, Any]
    """How Parsl runs them: the table [parsl]."""
    base: Study
    """The study whose keys are varied."""
    tables: Mapping[str, Any]
    """The tables of its file, every default filled in."""
    melts: tuple[Member, ...] = ()
    """Melts that members share, to be run before them."""

    @property
    def texts(self) -> dict[str, bytes]:
        """The files that make it again, by their names."""
        study = KEPT[1]
        tables = {**self.tables, "ensemble": {**self.tables["ensemble"], "title": self.title, "study": study}}
        contents = (toml_form(tables), self.base.written)
        return {name: tomli_w.dumps(content).encode() for name, content in zip(KEPT, contents, strict=True)}

    @property
    def points(self) -> tuple[Mapping[str, Any], ...]:
        """The combinations of varied values."""
        return tuple({member.point: member.varied for member in self.members}.values())


def read_ensemble(path: Path) -> Ensemble:
    """Read an ensemble from its TOML file, and check every member.

    Raises
    ------
    ValueError
        One line that names the file and the table, key or value that is wrong.
    """
    content = read_toml(path, "an ensemble's")
    if unknown := [name for name in content if name not in {"ensemble", "vary", "melt", "slurm", "parsl"}]:
        raise ValueError(
            f"{path}: unknown table [{unknown[0]}]; an ensemble has [ensemble], [vary], [melt], [slurm], [parsl]"
        )
    try:
        general = parse(ensemble, dict(content.get("ensemble", {})), table="ensemble")
        vary = _varied(content.get("vary", {}))
        queue = parse(slurm, dict(content.get("slurm", {})), table="slurm")
        tasks = parse(parsl, dict(content.get("parsl", {})), table="parsl")
        base = read_study(path.parent / general["study"])
        members = _expand(base, general, vary)
        resolved = {"ensemble": general, "vary": vary, "slurm": queue, "parsl": tasks}
        melts: tuple[Member, ...] = ()
        if "melt" in content:
            resolved["melt"] = parse(melt, dict(content["melt"]), table="melt")
            melts, members = _share(members, resolved["melt"]["duration_ps"], general["seed"])
        tables = {name: resolved[name] for name in content}
        title = general["title"] or str(base["run"]["title"])
        return Ensemble(title, vary, members, queue, tasks, base, tables, melts)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def prepare(plan: Ensemble, directory: Path) -> None:
    """Write the members' studies and the table of members into the ensemble's directory, or check those there.

    Raises
    ------
    ValueError
        The directory holds other things, or members of another ensemble.
    """
    studies = directory / "studies"
    refuse_links(directory)
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"{directory} is a file; give the ensemble a directory")
    if directory.exists() and not studies.exists() and any(path.name != "lock" for path in directory.iterdir()):
        raise ValueError(f"{directory} is not empty and holds no studies/; give the ensemble a directory of its own")
    fresh, _ = _to_be_written(plan, studies)
    rehearse_points(fresh)
    for folder in (studies, directory / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(directory):  # another command may prepare other members there
        for member in itertools.chain(*_to_be_written(plan, studies)):
            write_atomically(studies / f"{member.name}.toml", member.text)
        for name, text in plan.texts.items():
            write_atomically(directory / name, text)
        write_csv(directory / "members.csv", sealed([_row(plan, member) for member in plan.members]))


def rehearse_points(members: Iterable[Member]) -> None:
    """Try what could fail after hours, once for each combination of the varied values.

    Raises
    ------
    ValueError
        A member cannot do what is asked.
    """
    for point in {member.point: member for member in members if not member.study["snapshots"]}.values():
        rehearse(point.study)


def _to_be_written(plan: Ensemble, studies: Path) -> tuple[list[Member], list[Member]]:
    """Give the members whose studies are missing, and those whose title, say, is another."""
    fresh, renewed = [], []
    for member in (*plan.melts, *plan.members):
        path = studies / f"{member.name}.toml"
        if not path.exists():
            fresh.append(member)
        elif path.read_bytes() != member.text:
            there, here = (binding(tomllib.loads(text.decode())) for text in (path.read_bytes(), member.text))
            if there != here:
                raise ValueError(f"{path} holds another study: {difference(there, here)}; use a new --dir")
            renewed.append(member)
    return fresh, renewed


def check_snapshots(plan: Ensemble, directory: Path) -> None:
    """Refuse to quench from a melt that did not melt, or that holds fewer snapshots than are asked for."""
    for shared in plan.melts:
        name = shared.name
        wanted = 1 + max(member.snapshot or 0 for member in plan.members if member.melt == name)
        found = snapshots_of(directory / name)
        if found is None:
            raise ValueError(f"{directory / name} holds no snapshots; run the same command again to finish the melt")
        if not found["melted"]:
            raise ValueError(
                f"{name} did not melt ({found['reason']}), so no quench starts from it; raise the temperature or the "
                "lattice constant in a new --dir"
            )
        if wanted > found["number"]:
            needed = found["discard_ps"] + wanted * found["spacing_ps"]
            plural = "snapshot" if found["number"] == 1 else "snapshots"
            raise ValueError(
                f"{name} holds {found['number']} {plural} {found['spacing_ps']:.3g} ps apart (effective number of "
                f"independent frames {found['effective_frames']:.1f}) and {wanted} members are asked: lower "
                f"members, or give [melt] at least duration_ps = {needed:.3g} in a new --dir"
            )


def _row(plan: Ensemble, member: Member) -> dict[str, Any]:
    place = {"melt": member.melt, "snapshot": member.snapshot} if plan.melts else {}
    return {"member": member.name, "seed": member.seed, **place, **member.varied}


def _varied(table: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Give the values of each key; nested tables and quoted dotted keys mean the same."""
    flat: dict[str, list[Any]] = {}
    for key, values in table.items():
        if isinstance(values, Mapping):
            flat |= {f"{key}.{inner}": entry for inner, entry in _varied(values).items()}
        elif not isinstance(values, list) or not values:
            raise ValueError(f"vary.{key} = {values!r} is no list of values; write it as in [1, 2, 3]")
        else:
            flat[key] = values
    return flat


def _expand(base: Study, general: Mapping[str, Any], vary: Mapping[str, Sequence[Any]]) -> tuple[Member, ...]:
    if "run.seed" in vary:
        raise ValueError("vary.run.seed: each member has a seed of its own; give their number with members")
    number = math.prod(map(len, vary.values()))  # before a list of them is made
    if number * general["members"] > MOST_MEMBERS:
        raise ValueError(f"{number} combinations × {general['members']} members are more than {MOST_MEMBERS}")
    points = list(itertools.product(*vary.values()))
    plain = base.written
    members = []
    for point, values in enumerate(points):
        varied = dict(zip(vary, values, strict=True))
        tables = copy.deepcopy(plain)
        for key, value in varied.items():
            _set(tables, key, value)
        for number in range(general["members"]):
            # The stream that SeedSequence(seed).spawn(...)[point].spawn(...)[number] has, however many are spawned.
            seed = _seed(general["seed"], point, number)
            study = resolve(tables | {"run": tables["run"] | {"seed": seed}})
            # Names do not depend on how many there are: more members leave the first ones where they lie.
            members.append(Member(f"{point:03d}_{number:03d}", point, varied, seed, study))
    return tuple(members)


def _share(members: Sequence[Member], duration_ps: float, seed: int) -> tuple[tuple[Member, ...], tuple[Member, ...]]:
    """Give members of the same cell, model and melt one melt, and each a snapshot of it."""
    melts: dict[bytes, Member] = {}
    quenches = []
    for member in members:
        # The stream that SeedSequence(seed).spawn(...)[point] has: none that a member draws from.
        own_seed = _seed(seed, member.point)
        melted, plain = split(member.study, duration_ps, seed=own_seed)
        key = Member("", 0, {}, 0, split(member.study, duration_ps, seed=0)[0]).text
        shared = melts.setdefault(key, Member(f"melt_{member.point:03d}", member.point, {}, own_seed, melted))
        number = int(member.name.split("_")[1])
        study = resolve(plain | {"melt": {"run": f"../{shared.name}", "snapshot": number}})
        quenches.append(replace(member, study=study, melt=shared.name, snapshot=number))
    return tuple(melts.values()), tuple(quenches)


def _seed(seed: int, *spawned: int) -> int:
    stream = np.random.SeedSequence(seed, spawn_key=spawned)
    return int(stream.generate_state(1, np.uint64)[0] >> np.uint64(1))  # TOML's integers have a sign


def _set(tables: dict[str, Any], key: str, value: Any) -> None:
    """Set the value at a dotted key of a study; the segments of a schedule go by their names."""
    *path, last = key.split(".")
    place: Any = tables
    for part in path:
        place = _inside(place, part, key)
    if isinstance(place, list):
        raise ValueError(f"vary.{key} names a whole segment; name a key in it, as in {key}.duration_ps")
    place[last] = value


def _inside(place: Any, part: str, key: str) -> Any:
    named = {entry.get("name"): entry for entry in place} if isinstance(place, list) else place
    if isinstance(named, Mapping) and isinstance(named.get(part), Mapping | list):
        return named[part]
    choices = [str(name) for name, entry in named.items() if isinstance(entry, Mapping | list)]
    near = difflib.get_close_matches(part, choices, n=1)
    remedy = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(choices) or 'none'}"
    raise ValueError(f"vary.{key}: the study has no '{part}' there; {remedy}")
