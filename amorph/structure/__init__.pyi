from .anions import (
    GivenLengths as GivenLengths,
    anion_charges as anion_charges,
    per_anion as per_anion,
    which_anions as which_anions,
    written as written,
)
from .atoms import (
    G_CM3_PER_U_A3 as G_CM3_PER_U_A3,
    MINIMUM_DISTANCE as MINIMUM_DISTANCE,
    anion_mask as anion_mask,
    density_g_cm3 as density_g_cm3,
    periodic_atoms as periodic_atoms,
    poscar_order as poscar_order,
    refuse_senseless as refuse_senseless,
    to_pymatgen as to_pymatgen,
)
from .cells import recell as recell
from .disorder import (
    Alternative as Alternative,
    Assembly as Assembly,
    DisorderedCrystal as DisorderedCrystal,
    Share as Share,
    SharedSite as SharedSite,
)
from .ordering import OrderedCells as OrderedCells, ordered_cells as ordered_cells
from .oxidation_states import (
    resolve_oxidation_states as resolve_oxidation_states,
    with_oxidation_states as with_oxidation_states,
)
from .pairs import SKIN as SKIN, PairList as PairList, half_list as half_list, pair_list as pair_list
from .radii import Radii as Radii, atomic_radii as atomic_radii
