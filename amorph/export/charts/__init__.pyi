from .chart import (
    CHART_WRITERS as CHART_WRITERS,
    Chart as Chart,
    drawn as drawn,
    drawn_svg as drawn_svg,
    write_chart_table as write_chart_table,
    write_charts as write_charts,
)
from .material import (
    MEASURED as MEASURED,
    measured as measured,
    powder as powder,
    profile as profile,
    radial as radial,
    scattering as scattering,
)
from .motion import (
    Rate as Rate,
    activation as activation,
    diffusion_by_temperature as diffusion_by_temperature,
    displacements as displacements,
    displacements_by as displacements_by,
    voltages as voltages,
)
from .plot import Plot as Plot
from .results import charts_of as charts_of, columns_of as columns_of, table_charts as table_charts
from .room import spheres as spheres, spread as spread, valences as valences, volumes as volumes
from .running import course as course
from .several import diffusion_charts as diffusion_charts, report_charts as report_charts
from .style import PAPER as PAPER, Palette as Palette
from .words import number as number, share as share
