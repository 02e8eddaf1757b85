"""The figures of a run side by side: the glass, and the crystal that it is held against."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from amorph.analysis.crystallinity import Crystallinity
from amorph.analysis.crystallinity.verdict import FEWEST
from amorph.figures import Result, Row
from amorph.pipeline.chain import Chain
from amorph.pipeline.order import stages_of
from amorph.pipeline.results import Activation, Minimised, Mobility
from amorph.pipeline.stages import VOLUME_TOLERANCE
from amorph.pipeline.study import Study

BEFORE: Final = ", before the exchange"
"""How the names end of figures of glass and crystal as they were."""
FLAGS: Final = ("share", "decades")
"""Fields of a row that say of what kind its figure is; a comparison holds them only where it is so."""


@dataclass(frozen=True)
class Branches:
    """The rows of stages that a run went through."""

    host: Chain
    """From the composition to the equilibrated glass."""
    exchanged: Sequence[Chain]
    """From the exchange on, one for each replica."""
    crystal: Chain | None
    """The control; None where the study has none."""
    reference: Chain
    """The reference crystals."""
    glass_host: Chain | None = None
    """What was asked of the glass before the exchange; None where nothing was."""
    crystal_host: Chain | None = None
    """The same of the crystal."""

    @property
    def exchanged_names(self) -> list[str]:
        """What to call each exchange of the glass."""
        many = len(self.exchanged) > 1
        return [f"replica {n}" if many else "the exchanged glass" for n in range(len(self.exchanged))]

    @property
    def named(self) -> list[tuple[str, Chain]]:
        """Every row of stages, and what to call it."""
        named = [
            ("the glass", self.host),
            *zip(self.exchanged_names, self.exchanged, strict=True),
            ("the crystal", self.crystal),
            ("the reference crystals", self.reference),
            ("the unexchanged glass", self.glass_host),
            ("the unexchanged crystal", self.crystal_host),
        ]
        return [(name, chain) for name, chain in named if chain is not None]


@dataclass(frozen=True)
class Summary(Result):
    """What a run found."""

    title: str
    """What the study is for."""
    model: str
    """What moved the atoms of the melt."""
    final_model: str
    """What relaxed the exchanged structure."""
    verdict: str
    """Verdict on the minimised glass before the exchange, or on a melt."""
    reason: str
    """One sentence for the verdict."""
    failed: Sequence[str]
    """Checks that failed: a glass that is none, a relaxation that did not converge. Empty if all held."""
    notes: Sequence[str]
    """What a reader of the figures must know: the model's volumes against experiment, what was continued by force."""
    comparison: Sequence[Mapping[str, Any]]
    """Figure, unit, glass (mean over replicas), its standard deviation, and crystal: one row for each figure.

    A figure that is a share, or whose values lie decades apart, says so; the mean of the latter is geometric.
    """
    host: Mapping[str, Any]
    """Every figure of each stage of the glass before the exchange."""
    exchanged: Sequence[Mapping[str, Any]] = ()
    """The same from the exchange on, one for each replica."""
    crystal: Mapping[str, Any] | None = None
    """The same of the crystal control."""
    reference: Mapping[str, Any] | None = None
    """The same of the reference crystals."""
    snapshots: Mapping[str, Any] | None = None
    """What a melt for other runs holds; None of any other run."""
    subject: str = "the minimised glass, before the exchange"
    """What the verdict is on."""

    def table(self) -> list[dict[str, Any]]:
        """One row per figure."""
        return [{key: value for key, value in row.items() if key not in FLAGS} for row in self.comparison]


def summarize(study: Study, branches: Branches, final_model: str, forced: Sequence[str] = ()) -> Summary:
    """Set the figures of a run side by side and list the checks that failed."""
    host, exchanged, crystal = branches.host, branches.exchanged, branches.crystal
    glass = host.results["relax"].crystallinity
    limit = study["control"]["crystal_limit"]
    subjects = [("the glass", glass)]
    failed = [] if _is_glass(glass, limit) is not False else [f"not a glass: {glass.reason}"]
    was_glass = not failed
    for name, replica in zip(branches.exchanged_names, exchanged, strict=True):
        judged = replica.results["analysis"].crystallinity
        subjects.append((name, judged))
        if was_glass and _is_glass(judged, limit) is False:
            failed.append(f"{name} is no glass any more: {judged.reason}")
    if crystal is not None:
        control = crystal.results["analysis"].crystallinity
        if control.is_disordered and (control.n_judged or 0) >= FEWEST:
            failed.append(f"the crystal that the glass is compared with is none any more: {control.reason}")
    failed += [fault for name, chain in branches.named for fault in _not_converged(name, chain)]
    notes = [
        f"{found.model} relaxes to V/V_exp = "
        + ", ".join(f"{ratio:.3f} ({name})" for name, ratio in found.volume_ratio.items())
        + _inherits(found.volume_ratio.values())
        for found in branches.reference.results.values()
        if found.volume_ratio
    ]
    notes += [
        f"{found.model} cannot do {name}, which is left out of the reference crystals: {said}"
        for found in branches.reference.results.values()
        for name, said in found.left_out.items()
    ]
    notes += [f"{name}: {judged.verdict}: {judged.reason}" for name, judged in subjects if judged.is_glass is None]
    notes += [note for name, chain in branches.named for note in _of_motion(name, chain)]
    notes += [f"continued by force: {changed}; what was finished before is as it was" for changed in forced]
    compared = [record.name for record in stages_of(study, "exchanged")]
    comparison = side_by_side(
        [_rows(chain, compared) for chain in exchanged], None if crystal is None else _rows(crystal, compared)
    )
    return Summary(
        study["run"]["title"],
        host.results["melt_quench"].model,
        final_model,
        glass.verdict,
        glass.reason,
        failed,
        notes,
        comparison + _before_exchange(study, branches),
        _figures(host) | _figures(branches.glass_host),
        [_figures(chain) for chain in exchanged],
        None if crystal is None else _figures(crystal) | _under("host", _figures(branches.crystal_host)),
        _figures(branches.reference),
    )


def _before_exchange(study: Study, branches: Branches) -> list[dict[str, Any]]:
    """Set glass and crystal before the exchange side by side, and what was asked of them; replicas share both."""
    asked = [record.name for record in stages_of(study, "host")]
    glass, crystal = (
        None if relaxed is None else _relaxed(relaxed) + ([] if chain is None else _rows(chain, asked))
        for relaxed, chain in ((branches.host, branches.glass_host), (branches.crystal, branches.crystal_host))
    )
    spread = {"± sd": None} if len(branches.exchanged) > 1 else {}
    return [row | {"figure": f"{row['figure']}{BEFORE}"} | spread for row in side_by_side([glass or []], crystal)]


def _relaxed(chain: Chain) -> list[Row]:
    """Give the size of what is relaxed before the exchange, in which the cell of its melt is seen most."""
    found = chain.results["relax"]
    return [Row("cell volume", found.cell_volume, "Å³"), Row("density", found.density_g_cm3, "g/cm³")]


def _of_motion(name: str, chain: Chain) -> list[str]:
    """Say at which temperatures the host does not stand, and what the line through the others gives."""
    fallen = [
        f"{name} does not survive {found.place}: {found.reason}"
        for found in chain.results.values()
        if isinstance(found, Mobility) and not found.survives
    ]
    return fallen + [f"{name}: {found.text}" for found in chain.results.values() if isinstance(found, Activation)]


def _is_glass(judged: Crystallinity, limit: float | None) -> bool | None:
    """Judge by the study's own limit of the crystal fraction, where it has one; None where the cell is too small."""
    if limit is None or judged.crystal_fraction is None:
        return judged.is_glass
    return judged.crystal_fraction <= limit and judged.melted is not False


def summarize_melt(study: Study, host: Chain) -> Summary:
    """Say whether a melt that other runs quench is molten, and how many independent snapshots it holds."""
    found = host.results["melt"]
    return Summary(
        study["run"]["title"],
        found.model,
        found.model,
        "molten" if found.melt.melted else "not molten",
        found.melt.reason,
        failed=[] if found.melt.melted else [f"no melt: {found.melt.reason}"],
        notes=[found.snapshots.text],
        comparison=[],
        host=_figures(host),
        snapshots=found.snapshots.figures(),
        subject="the melt",
    )


def side_by_side(replicas: Sequence[Sequence[Row]], crystal: Sequence[Row] | None) -> list[dict[str, Any]]:
    """Set each figure of the glass, mean over its replicas, beside that of the crystal."""
    chains = [*replicas, *([] if crystal is None else [crystal])]
    flags: dict[tuple[str, str], dict[str, bool]] = {}
    for row in (row for chain in chains for row in chain):  # an earlier version did not know every flag
        flags.setdefault((row.figure, row.unit), {}).update({flag: True for flag in FLAGS if getattr(row, flag)})
    values = [{row.figure: row.value for row in chain} for chain in chains]
    return [
        {"figure": figure, "unit": unit}
        | said
        | _over_replicas([found.get(figure) for found in values[: len(replicas)]], decades="decades" in said)
        | ({} if crystal is None else {"crystal": values[-1].get(figure)})
        for (figure, unit), said in flags.items()
    ]


def _over_replicas(values: list[Any], *, decades: bool) -> dict[str, Any]:
    """Mean and standard deviation of numbers; of words what they say, once where all agree.

    The mean over decades is geometric, and has no standard deviation to be added to it.
    """
    known = [value for value in values if value is not None]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    if numbers and decades and len(known) == len(values) > 1 and min(known) > 0.0:
        return {"glass": float(np.exp(np.mean(np.log(known)))), "± sd": None}
    if numbers:  # a figure that one replica lacks has no mean over them
        row: dict[str, Any] = {"glass": float(np.mean(known)) if len(known) == len(values) else None}
    else:
        row = {"glass": values[0] if len(set(map(str, values))) == 1 else ", ".join(map(str, values))}
    if len(values) > 1:
        row["± sd"] = float(np.std(known, ddof=1)) if numbers and len(known) == len(values) else None
    return row


def _not_converged(name: str, chain: Chain) -> list[str]:
    failed = []
    for stage, result in chain.results.items():
        if isinstance(result, Minimised) and result.converged is None:
            failed.append(f"whether {stage} of {name} converged is unknown: give vasprun.xml beside the CONTCAR")
        elif isinstance(result, Minimised) and not result.converged:
            failed.append(f"{stage} of {name} did not converge in {result.steps} steps")
    return failed


def _figures(chain: Chain | None) -> dict[str, Any]:
    return {} if chain is None else {name: found.figures for name, found in chain.found.items()}


def _rows(chain: Chain, stages: Iterable[str]) -> list[Row]:
    """Collect the rows of some stages; where an earlier version kept none, those of what is read back."""
    kept = {name: (chain.found[name].rows, chain.results.get(name)) for name in stages}
    return [row for rows, result in kept.values() for row in (rows or ([] if result is None else result.rows()))]


def _under(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    return {name: figures} if figures else {}


def _inherits(ratios: Iterable[float]) -> str:
    off = any(abs(ratio - 1) > VOLUME_TOLERANCE for ratio in ratios)
    return f": off by more than {100 * VOLUME_TOLERANCE:g} %, and f_V inherits it" if off else ""
