"""Several quenches from one melt: what of a study is melted once, and where each member's quench begins."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from amorph.analysis.decorrelation import FEWEST_FRAMES
from amorph.parameters import Duration, checked
from amorph.pipeline import SNAPSHOTS, Study, resolve
from amorph.run import read_json, toml_form

_MELTED = ("run", "calculator", "build", "starting_relax", "melt_quench")
"""Tables of a study that its melt depends on."""


@checked
def melt(*, duration_ps: Duration) -> None:
    """Melt once for all members of the same cell, model and melt; each quenches a snapshot of its own.

    Parameters
    ----------
    duration_ps
        Length of the whole hold at the highest temperature. As long as the study's own melt nothing is taken; the
        snapshots come from what follows, as far apart as the melt's own correlation asks for.
    """


def split(study: Study, duration_ps: float, *, seed: int) -> tuple[Study, dict[str, Any]]:
    """Divide a study into its melt, as a study of its own, and the tables of what follows.

    Raises
    ------
    ValueError
        The schedule does not begin with a hold at its highest temperature that a cooling follows; the hold leaves no
        time for snapshots.
    """
    chosen = study["melt_quench"]
    schedule = chosen["schedule"]
    if schedule.melt is None or not schedule.holds:
        raise ValueError(
            "[melt] needs a schedule in [melt_quench] with a hold at its highest temperature before the cooling"
        )
    last = schedule.holds[-1]
    own_ps = schedule.segments[last].duration_ps
    frames = int((duration_ps - own_ps) * 1000.0 / schedule.timestep_fs) // chosen["sample_every"]
    if frames < FEWEST_FRAMES:
        raise ValueError(
            f"melt.duration_ps = {duration_ps:g} leaves {max(frames, 0)} frames after the {own_ps:g} ps that the study "
            f"melts for by itself; at least {FEWEST_FRAMES} tell how soon it forgets, and each member needs a snapshot "
            "of its own: lengthen it"
        )
    hold = replace(schedule.segments[last], duration_ps=duration_ps)
    plain = study.written
    melted = {name: copy.deepcopy(plain[name]) for name in _MELTED}
    melted["run"] |= {"seed": seed, "replicas": 1}
    melted["melt_quench"]["schedule"] = toml_form(replace(schedule, segments=(*schedule.segments[:last], hold)))
    before_ps = sum(segment.duration_ps for segment in schedule.segments[:last])
    melted["snapshots"] = {"discard_ps": before_ps + own_ps}
    plain["melt_quench"]["schedule"] = toml_form(replace(schedule, segments=schedule.segments[last + 1 :]))
    return resolve(melted), plain


def snapshots_of(run: Path) -> Mapping[str, Any] | None:
    """Read what a melt found about its snapshots; None as long as it is not done."""
    try:
        (path,) = run.glob(f"[0-9]_melt/{SNAPSHOTS}")
        return read_json(path)
    except (OSError, ValueError):
        return None
