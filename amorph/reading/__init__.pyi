from .columns import read_columns as read_columns
from .fields import OWN_FIELDS as OWN_FIELDS, is_field as is_field, read_field as read_field
from .frames import one_by_one as one_by_one
from .structures import (
    read_disordered as read_disordered,
    read_structure as read_structure,
    read_trajectory as read_trajectory,
)
from .surfaces import SURFACE_READERS as SURFACE_READERS, read_surface as read_surface
from .toml import read_toml as read_toml
from .vasp import VaspRelaxed as VaspRelaxed, read_vasp_relaxed as read_vasp_relaxed
