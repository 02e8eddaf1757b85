from .convergence import window_convergence as window_convergence
from .maps import bond_valence_sum_at as bond_valence_sum_at
from .maps import bvs_map as bvs_map
from .maps import bvs_map_of as bvs_map_of
from .maps import bvs_maps as bvs_maps
from .result import BvsMap as BvsMap
from .window import window_field as window_field
