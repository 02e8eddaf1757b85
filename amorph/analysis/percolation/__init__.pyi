from .paths import MigrationPath as MigrationPath
from .paths import migration_path as migration_path
from .regions import percolation as percolation
from .regions import percolation_thresholds as percolation_thresholds
from .regions import points_in_order as points_in_order
from .result import Percolation as Percolation
from .result import PercolationThresholds as PercolationThresholds
from .result import Side as Side
