from .deformation import MovingCell as MovingCell
from .migration import RefinedHop as RefinedHop, RefinedPath as RefinedPath, refine_path as refine_path
from .minimization import (
    Relaxed as Relaxed,
    RelaxFrame as RelaxFrame,
    RelaxState as RelaxState,
    relax as relax,
    relaxation as relaxation,
)
