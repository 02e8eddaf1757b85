from .interactions import Interaction as Interaction
from .maps import BvseMap as BvseMap, bvse_map as bvse_map, site_energy_at as site_energy_at
