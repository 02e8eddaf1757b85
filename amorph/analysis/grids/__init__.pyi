from .bins import (
    Bins as Bins,
    largest_square_within as largest_square_within,
    make_bins as make_bins,
    smallest_square_reaching as smallest_square_reaching,
    sort_into_bins as sort_into_bins,
    wrap as wrap,
)
from .layout import Grid as Grid, make_grid as make_grid, resolve_points as resolve_points
from .slabs import Task as Task, over_slabs as over_slabs
