from .interactions import Interaction as Interaction
from .maps import BvseMap as BvseMap
from .maps import bvse_map as bvse_map
from .maps import site_energy_at as site_energy_at
