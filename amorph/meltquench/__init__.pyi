from .dynamics import DynamicsState as DynamicsState, Frame as Frame, Thermo as Thermo
from .lammps import check_engine as check_engine
from .quench import (
    Judgement as Judgement,
    OnFrame as OnFrame,
    Quenched as Quenched,
    check_sampling as check_sampling,
    judge as judge,
    melt_pressures_GPa as melt_pressures_GPa,
    melt_quench as melt_quench,
)
from .schedule import SHIPPED as SHIPPED, QuenchSchedule as QuenchSchedule, Segment as Segment, named as named
