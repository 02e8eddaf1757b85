from .paths import MigrationPath as MigrationPath, migration_path as migration_path
from .refinement import RefinedHop as RefinedHop, RefinedPath as RefinedPath, refine_path as refine_path
from .regions import (
    percolation as percolation,
    percolation_thresholds as percolation_thresholds,
    points_in_order as points_in_order,
)
from .result import Percolation as Percolation, PercolationThresholds as PercolationThresholds, Side as Side
from .window import bond_valence_window as bond_valence_window, window_width as window_width
