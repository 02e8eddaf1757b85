from .bond_valences import (
    DEFAULT_SETS as DEFAULT_SETS,
    SETS as SETS,
    SOFT_BV as SOFT_BV,
    SOFTNESS as SOFTNESS,
    BondValence as BondValence,
    anion_name as anion_name,
    bond_valence as bond_valence,
    bond_valence_charges as bond_valence_charges,
    bond_valence_rows as bond_valence_rows,
)
from .ions import Ion as Ion, element_of as element_of, ion_name as ion_name, parse_ion as parse_ion
from .oxidation_states import (
    ANION_CHARGES as ANION_CHARGES,
    SAME_STATE as SAME_STATE,
    Amount as Amount,
    known_states as known_states,
    likeliest_states as likeliest_states,
    shares_of_state as shares_of_state,
    states_of_mean as states_of_mean,
)
from .radius_sets import radii as radii, radius as radius
from .scattering import (
    FORM_FACTORS_SOURCE as FORM_FACTORS_SOURCE,
    LENGTHS_SOURCE as LENGTHS_SOURCE,
    WAVELENGTHS as WAVELENGTHS,
    form_factor as form_factor,
    scattering_length as scattering_length,
)
from .soft_bond_valences import (
    SoftBondValence as SoftBondValence,
    parameters_of as parameters_of,
    principal_quantum_number as principal_quantum_number,
    soft_bond_valence as soft_bond_valence,
)
from .unmolten import UNMOLTEN as UNMOLTEN, Unmolten as Unmolten
