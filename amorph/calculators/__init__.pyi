from .evaluation import GPA_PER_EV_A3 as GPA_PER_EV_A3, evaluate as evaluate
from .factory import CHGNET as CHGNET, calculator_name as calculator_name, make_calculator as make_calculator
from .gathering import Batch as Batch, GatheredCalculator as GatheredCalculator, Gathering as Gathering
from .lammps import couple_lammps as couple_lammps, load_lammps as load_lammps, open_lammps as open_lammps
from .repulsion import ZBLBatch as ZBLBatch, ZBLRepulsion as ZBLRepulsion
