from .capacities import capacity_mAh_per_g as capacity_mAh_per_g
from .metals import METALS as METALS, metal_crystal as metal_crystal
from .moments import moments_by as moments_by
from .removal import (
    Minimized as Minimized,
    Moments as Moments,
    Voltage as Voltage,
    VoltageStep as VoltageStep,
    voltage as voltage,
)
