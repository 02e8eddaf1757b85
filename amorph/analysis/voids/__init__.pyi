from .holes import Holes as Holes, Passage as Passage, find_holes as find_holes
from .pores import ProbeCurve as ProbeCurve, Voids as Voids, probe_curve as probe_curve, voids as voids
