"""The verb that measures order and scattering: structure."""

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

from ase import Atoms
from cyclopts import Parameter

from amorph.analysis.glass_report import StructureReport, structure_report
from amorph.analysis.order import Connectivity
from amorph.analysis.scattering import CONVENTION, AmorphousShare, Comparison, amorphous_share, compare, powder_pattern
from amorph.cli.flags import takes
from amorph.cli.options import Json, Output, Quiet, check_output
from amorph.cli.output import say, show, show_json, show_pairs, start, with_error
from amorph.export import writer_for
from amorph.export.charts import CHART_WRITERS, report_charts, write_charts
from amorph.parameters import arguments_of
from amorph.progress import Progress
from amorph.reading import read_columns, read_structure, read_trajectory
from amorph.run import make_folder, write_csv

log = logging.getLogger(__name__)

Curve = Literal["sq", "gr", "xrd"]


@takes(structure_report, read_trajectory)
def structure(
    files: Annotated[
        list[Path],
        Parameter(
            help="Structures or trajectories: frames of one file are averaged, and files are the unit of errors."
        ),
    ],
    /,
    *,
    experiment: Annotated[
        Path | None, Parameter(help="Measured curve to compare with, in columns: x, y and, where known, its error.")
    ] = None,
    curve: Annotated[Curve | None, Parameter(name="--as", help="What it is: q S(q); r G(r); 2θ and intensity.")] = None,
    background_terms: Annotated[
        int, Parameter(help="Terms of the smooth background that is fitted with the scale; 0 is none, 1 a constant.")
    ] = 0,
    crystal: Annotated[
        Path | None,
        Parameter(help="Crystal whose powder pattern is drawn too; --as xrd then fits the amorphous share of both."),
    ] = None,
    last: Annotated[
        int | None, Parameter(help="Average the last so many frames of each file; by default all of them.")
    ] = None,
    curves: Annotated[Path | None, Parameter(help="Folder for every curve as CSV.")] = None,
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    **parameters: Any,
) -> None:
    """Is it the glass of the experiment? g(r), coordination, angles, polyhedra, rings, S(q), G(r), powder pattern.

    The name of --output chooses the format of the figure: pdf, svg or png.
    """
    start(quiet=quiet)
    check_output(output, lambda path: writer_for(path, CHART_WRITERS, "figure"))
    if (experiment is None) != (curve is None):
        raise ValueError(
            f"--{'as' if curve is None else 'experiment'} is missing; give the measured file and what it is"
        )
    measured = None if experiment is None else read_columns(experiment)
    beside = None if crystal is None else read_structure(crystal)
    if twice := [file for n, file in enumerate(files) if file.resolve() in {one.resolve() for one in files[:n]}]:
        raise ValueError(f"{twice[0]} is given twice; files count as independent glasses, so give each once")
    if last is not None and last < 1:
        raise ValueError(f"last = {last} must be at least 1; leave it out for every frame")
    samples = [
        _frames(file, read_trajectory(file, **arguments_of(read_trajectory, parameters)), last) for file in files
    ]
    progress = None if quiet else Progress(visible=True).task
    report = structure_report(samples, progress=progress, **arguments_of(structure_report, parameters))
    lines = share = compared = None
    if beside is not None:
        lines = powder_pattern(beside, **arguments_of(powder_pattern, parameters) | {"broadening": 0.0})
    if measured is not None and lines is not None and curve == "xrd":
        share = amorphous_share(measured, report.pattern, lines, background_terms=background_terms)
        compared = share.fit
    elif measured is not None and curve is not None:
        compared = compare(*_computed(report, curve), measured, background_terms=background_terms)
    if curves is not None:
        make_folder(curves)
        for name, rows in report.curves().items():
            write_csv(curves / f"{name}.csv", rows)
    if output is not None:
        write_charts(output, report_charts(report, compared, curve or "sq", lines))
    if json:
        about = {} if compared is None else {"experiment": {"file": experiment, "as": curve, **compared.figures()}}
        about |= {} if lines is None else {"crystal": {"file": crystal, **lines.figures()}}
        about |= {} if share is None else {"amorphous_share": share.figures()}
        show_json(report.figures() | about | {"file": output, "curves": curves})
    elif not quiet:
        _show(report, share or compared)
        written = [str(path) for path in (output, curves) if path is not None]
        say(f"written to {' and '.join(written)}" if written else "nothing written: -o FILE draws, --curves DIR keeps")


def _frames(file: Path, frames: list[Atoms], last: int | None) -> list[Atoms]:
    """Keep the last frames, and say so where they are of several segments of a quench."""
    kept = frames if last is None else frames[-last:]
    if len(segments := dict.fromkeys(str(frame.info.get("segment")) for frame in kept)) > 1:
        log.warning("%s: frames of %s are averaged together; --last N takes the last ones", file, ", ".join(segments))
    return kept


def _computed(report: StructureReport, curve: Curve) -> tuple[Any, Any]:
    if curve == "sq":
        return report.scattering.q, report.scattering.total(report.probe)
    if curve == "gr":
        return report.pair_function.r_pdf_A, report.pair_function.g_pdf
    return report.pattern.two_theta_deg, report.pattern.intensity


def _show(report: StructureReport, compared: Comparison | AmorphousShare | None) -> None:
    titles = {
        "Coordination": "coordination",
        "BondAngles": "bond angles",
        "PolyhedraShapes": "polyhedra",
        "Connectivity": f"shared corners, edges and faces, network of {', '.join(report.rings.formers)}",
        "RingStatistics": f"{report.rings.criterion} rings of {', '.join(report.rings.formers)}, "
        f"searched up to {report.rings.largest}",
    }
    for part in report.parts:
        show(part.table(), title=titles[type(part).__name__])
        say("")
        if isinstance(part, Connectivity):
            show(part.anion_table(), title="anions by the atoms of the network that they bind")
            say("")
            show(part.q_table(), title="Qⁿ: atoms of the network by the bridging anions that they bind")
            say("")
    about, peak = report.distributions, report.peak
    show_pairs(
        {
            "density [g/cm³]": about.density_g_cm3,
            "structures, frames": (about.samples, about.frames),
            "smallest q [1/Å]": float(report.scattering.q[0]),
            f"first sharp peak ({report.probe}) [1/Å]": None
            if peak is None
            else with_error(peak.place_per_A, peak.place_standard_error_per_A),
            "its full width [1/Å]": None
            if peak is None
            else with_error(peak.width_per_A, peak.width_standard_error_per_A),
            "S(q)": CONVENTION,
            "wavelength [Å]": report.pattern.wavelength_A,
        }
    )
    if compared is not None:
        say("")
        show(compared.table(), title="beside the experiment")
        if isinstance(compared, Comparison) and compared.scale <= 0.0:
            log.warning("the fitted scale is %.3g: the measured curve runs against the computed one", compared.scale)
