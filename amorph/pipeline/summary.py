"""The figures of a run side by side: the glass, and the crystal that it is held against."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from amorph.pipeline.stages import VOLUME_TOLERANCE
from amorph.pipeline.study import Study

_EXCHANGED = (
    ("verdict, exchanged and relaxed", ("analysis", "crystallinity", "verdict"), ""),
    ("parent order I/N²", ("analysis", "crystallinity", "parent_order"), ""),
    ("solid share", ("analysis", "crystallinity", "solid_share"), ""),
    ("relaxation converged", ("final_relax", "converged"), ""),
    ("cell volume", ("final_relax", "cell_volume"), "Å³"),
    ("volume per anion", ("analysis", "volume_per_anion"), "Å³"),
    ("density", ("analysis", "density_g_cm3"), "g/cm³"),
    ("f_V, reference volume as chosen", ("analysis", "free_volume", "free_volume_fraction"), ""),
    ("f_V, V_O of the same potential's MgO", ("analysis", "free_volume_same_potential", "free_volume_fraction"), ""),
    ("f_V·V_cell", ("analysis", "free_volume", "free_volume"), "Å³"),
    ("f_V·V_cell/(n·V) of the ion", ("analysis", "free_volume", "ratio"), ""),
    ("nominal formula", ("analysis", "free_volume", "formula"), ""),
    ("window share of the cell, all atoms block", ("analysis", "bvs", "all", "window_fraction_of_cell"), ""),
    ("window share of the cell, ion removed", ("analysis", "bvs", "framework", "window_fraction_of_cell"), ""),
    ("under-bonded share, all atoms block", ("analysis", "bvs", "all", "under_bonded_fraction_of_cell"), ""),
    ("under-bonded share, ion removed", ("analysis", "bvs", "framework", "under_bonded_fraction_of_cell"), ""),
    ("over-bonded share, ion removed", ("analysis", "bvs", "framework", "over_bonded_fraction_of_cell"), ""),
    ("excluded share, ion removed", ("analysis", "bvs", "framework", "excluded_fraction"), ""),
    ("mismatch whose window percolates, 1D", ("analysis", "connection", "mismatch", "1D"), "v.u."),
    ("mismatch whose window percolates, 3D", ("analysis", "connection", "mismatch", "3D"), "v.u."),
    ("v below which room percolates, 1D", ("analysis", "connection", "roomy", "1D"), "v.u."),
    ("v below which room percolates, 3D", ("analysis", "connection", "roomy", "3D"), "v.u."),
    ("migration barrier (BVSE), 1D", ("analysis", "bvse", "barriers_eV", "1D"), "eV"),
    ("migration barrier (BVSE), 3D", ("analysis", "bvse", "barriers_eV", "3D"), "eV"),
    ("the same from the region's own lowest site, 1D", ("analysis", "bvse", "region_barriers_eV", "1D"), "eV"),
    ("room v ≤ V + window, share of the cell", ("analysis", "spread", "free_fraction"), ""),
    ("its largest cluster", ("analysis", "spread", "largest_share"), ""),
    ("its spread, like that of random grains of", ("analysis", "spread", "grain_volume_A3"), "Å³"),
    ("room per ion, mean", ("analysis", "spread", "local", "mean_A3"), "Å³"),
    ("room per ion, coefficient of variation", ("analysis", "spread", "local", "coefficient_of_variation"), ""),
    ("largest included sphere, ion removed", ("analysis", "voids", "framework", "largest_included_radius"), "Å"),
    ("largest free sphere, ion removed", ("analysis", "voids", "framework", "largest_free_radius"), "Å"),
    ("probe-accessible share, ion removed", ("analysis", "voids", "framework", "accessible_fraction"), ""),
    ("mean pore radius, ion removed", ("analysis", "voids", "framework", "mean_pore_radius"), "Å"),
)


@dataclass(frozen=True)
class Summary:
    """What a run found."""

    figures: Mapping[str, Any]
    """Every figure of the host, the replicas, the crystal and the reference crystals, as the stages gave them."""
    rows: Sequence[Mapping[str, Any]]
    """Figure, glass (mean over replicas), its standard deviation, crystal and unit."""
    verdict: str
    """Verdict on the minimised glass before the exchange."""
    reason: str
    """One sentence for the verdict."""
    failed: Sequence[str]
    """Checks that failed: a glass that is none, a relaxation that did not converge. Empty if all held."""
    notes: Sequence[str]
    """What a reader of the figures must know: the model's volumes against experiment, what was continued by force."""
    subject: str = "the minimised glass, before the exchange"
    """What the verdict is on."""

    def table(self) -> list[dict[str, Any]]:
        """One row per figure."""
        return [dict(row) for row in self.rows]


def summarize(
    study: Study,
    *,
    host: Mapping[str, Mapping[str, Any]],
    exchanged: Sequence[Mapping[str, Mapping[str, Any]]],
    crystal: Mapping[str, Mapping[str, Any]] | None,
    reference: Mapping[str, Mapping[str, Any]],
    models: tuple[str, str],
    forced: Sequence[str] = (),
) -> Summary:
    """Set the figures of a run side by side and list the checks that failed."""
    glass = host["relax"]["crystallinity"]
    failed = []
    if glass["verdict"] != "amorphous":
        failed.append(f"not a glass: {glass['reason']}")
    replica_name = "replica {}" if len(exchanged) > 1 else "the exchanged glass"
    for n, replica in enumerate(exchanged):
        judged = replica["analysis"]["crystallinity"]
        if judged["verdict"] != "amorphous" and glass["verdict"] == "amorphous":
            failed.append(f"{replica_name.format(n)} is no glass any more: {judged['reason']}")
    chains = [("the glass", host), *((replica_name.format(n), figures) for n, figures in enumerate(exchanged))]
    if crystal is not None:
        chains.append(("the crystal", crystal))
    chains.append(("the reference crystals", reference))
    for name, chain in chains:
        for stage, figures in chain.items():
            if figures.get("converged", True) is None:
                failed.append(f"whether {stage} of {name} converged is unknown: give vasprun.xml beside the CONTCAR")
            elif not figures.get("converged", True):
                failed.append(f"{stage} of {name} did not converge in {figures['steps']} steps")
    notes = [
        f"{figures['model']} relaxes to V/V_exp = "
        + ", ".join(f"{ratio:.3f} ({name})" for name, ratio in figures["volume_ratio"].items())
        + _inherits(figures["volume_ratio"].values())
        for figures in reference.values()
        if figures["volume_ratio"]
    ]
    notes += [f"continued by force: {changed}; what was finished before is as it was" for changed in forced]
    figures = {
        "title": study["run"]["title"],
        "model": models[0],
        "final_model": models[1],
        "verdict": glass["verdict"],
        "reason": glass["reason"],
        "failed": failed,
        "notes": notes,
        "host": host,
        "exchanged": exchanged,
        "crystal": crystal,
        "reference": reference,
    }
    return Summary(
        figures=figures,
        rows=figure_rows(exchanged, crystal),
        verdict=glass["verdict"],
        reason=glass["reason"],
        failed=failed,
        notes=notes,
    )


def summarize_melt(study: Study, figures: Mapping[str, Mapping[str, Any]], model: str) -> Summary:
    """Say whether a melt that other runs quench is molten, and how many independent snapshots it holds."""
    found, judged = figures["melt"]["snapshots"], figures["melt"]["melt"]
    failed = [] if judged["melted"] else [f"no melt: {judged['reason']}"]
    notes = [
        f"{found['number']} snapshots {found['spacing_ps']:.3g} ps apart; {found['frames']} frames are worth "
        f"{found['effective_frames']:.1f} independent ones, {found['slowest']} being the slowest"
    ]
    verdict = "molten" if judged["melted"] else "not molten"
    whole = {
        "title": study["run"]["title"],
        "model": model,
        "verdict": verdict,
        "reason": judged["reason"],
        "failed": failed,
        "notes": notes,
        "host": figures,
        "exchanged": [],
        "crystal": None,
        "snapshots": found,
    }
    return Summary(whole, [], verdict, judged["reason"], failed, notes, subject="the melt")


def figure_rows(exchanged: Sequence[Mapping[str, Any]], crystal: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Set each figure of the glass, mean over its replicas, beside that of the crystal.

    What no study asked for is left out.
    """
    chains = [*exchanged, *([] if crystal is None else [crystal])]
    return [
        _row(name, path, unit, exchanged, crystal)
        for name, path, unit in _EXCHANGED
        if any(_has(figures, path) for figures in chains)
    ]


def _inherits(ratios: Iterable[float]) -> str:
    off = any(abs(ratio - 1) > VOLUME_TOLERANCE for ratio in ratios)
    return f": off by more than {100 * VOLUME_TOLERANCE:g} %, and f_V inherits it" if off else ""


def _row(
    name: str,
    path: tuple[str, ...],
    unit: str,
    exchanged: Sequence[Mapping[str, Any]],
    crystal: Mapping[str, Any] | None,
) -> dict[str, Any]:
    values = [_at(figures, path) for figures in exchanged]
    row: dict[str, Any] = {"figure": name, "unit": unit}
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        row["glass"] = float(np.mean(values))
        if len(values) > 1:
            row["± sd"] = float(np.std(values, ddof=1))
    else:
        row["glass"] = values[0] if len(set(map(str, values))) == 1 else ", ".join(map(str, values))
        if len(values) > 1:
            row["± sd"] = None
    if crystal is not None:
        row["crystal"] = _at(crystal, path)
    return row


def _has(figures: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    return path[-1] in (_at(figures, path[:-1]) or {})


def _at(figures: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = figures
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value
