from .deformation import MovingCell as MovingCell
from .minimization import (
    Relaxed as Relaxed,
    RelaxFrame as RelaxFrame,
    RelaxState as RelaxState,
    relax as relax,
    relaxation as relaxation,
)
