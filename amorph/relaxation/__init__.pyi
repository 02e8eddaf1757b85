from .minimization import Relaxed as Relaxed
from .minimization import RelaxFrame as RelaxFrame
from .minimization import RelaxState as RelaxState
from .minimization import relax as relax
from .minimization import relaxation as relaxation
