"""The 3-D view alone, of any structures, fields and surfaces."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from amorph.analysis.isosurface import nested_surfaces
from amorph.export.picture import Colors
from amorph.reading import SURFACE_READERS, is_field, read_field, read_surface, read_trajectory
from amorph.report import scenes
from amorph.report.found import FRAMES
from amorph.report.page import write_page

log = logging.getLogger(__name__)


def write_view(
    path: Path,
    files: Sequence[Path],
    *,
    ion: str | None = None,
    levels: Sequence[float] | None = None,
    colors: Colors = "distinct",
) -> None:
    """Write a page with the 3-D view of files.

    Parameters
    ----------
    path
        Where it is written.
    files
        Structures, trajectories, whose frames become a movie, fields, which have their structure with them,
        and surfaces, which are drawn with the structure named before them.
    ion
        The mobile ion, which can be shown alone; by default that of the first field.
    levels
        Levels of the fields on the slider, in their unit; of a bond-valence map half widths of the window.
    colors
        Colors of the elements: told apart, those of VESTA, or CPK (Jmol's).

    Raises
    ------
    ValueError
        A file that holds none of these.
    """
    made: list[dict[str, Any]] = []
    for file in files:
        kind = file.suffix.lower()
        if is_field(file):
            field, atoms = read_field(file)
            scene = scenes.structure_scene(file.name, atoms, ion or field.ion, colors)
            scene["surfaces"] = [scenes.surfaces_of(nested_surfaces(field, atoms, levels=levels))]
        elif kind in SURFACE_READERS:
            surface = scenes.surface_alone(file.name, *read_surface(file))
            if made:
                made[-1]["surfaces"].append(surface)
                continue
            scene = scenes.bare_scene(file.name)
            scene["surfaces"] = [surface]
        else:
            frames = read_trajectory(file)
            scene = scenes.structure_scene(file.name, frames[-1], ion, colors)
            step = -(-len(frames) // FRAMES)
            same = all(np.array_equal(frame.numbers, frames[0].numbers) for frame in frames)
            if not same:
                log.warning("%s: the atoms of its frames differ, so that they make no movie; the last is shown", file)
            elif len(frames) > 1:
                captions = [f"frame {number}" for number in range(0, len(frames), step)]
                scene["movie"] = scenes.movie_of(frames[::step], captions, of=len(frames), colors=colors)
        made.append(scene)
    write_page(path, "view.html", title=", ".join(file.name for file in files), scenes=made, framed=False)
