from .atoms import (
    MINIMUM_DISTANCE as MINIMUM_DISTANCE,
    anion_mask as anion_mask,
    density_g_cm3 as density_g_cm3,
    periodic_atoms as periodic_atoms,
    poscar_order as poscar_order,
    refuse_senseless as refuse_senseless,
    to_pymatgen as to_pymatgen,
)
from .oxidation_states import (
    resolve_oxidation_states as resolve_oxidation_states,
    with_oxidation_states as with_oxidation_states,
)
from .pairs import SKIN as SKIN, PairList as PairList, pair_list as pair_list
from .radii import Radii as Radii, atomic_radii as atomic_radii
