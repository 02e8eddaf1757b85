from .maps import (
    bond_valence_sum_at as bond_valence_sum_at,
    bvs_map as bvs_map,
    bvs_map_of as bvs_map_of,
    bvs_maps as bvs_maps,
    sum_as_mapped as sum_as_mapped,
)
from .result import BvsMap as BvsMap
from .valences import BondValenceSums as BondValenceSums, bond_valence_sums as bond_valence_sums
from .window import window_field as window_field
