from .holes import Holes as Holes
from .holes import Passage as Passage
from .holes import find_holes as find_holes
from .pores import ProbeCurve as ProbeCurve
from .pores import Voids as Voids
from .pores import probe_curve as probe_curve
from .pores import voids as voids
