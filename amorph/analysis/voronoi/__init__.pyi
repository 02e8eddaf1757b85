from .cells import Tessellation as Tessellation, tessellate as tessellate
from .coordination import FaceCoordination as FaceCoordination, face_coordination as face_coordination
from .volumes import (
    FreeVolume as FreeVolume,
    SpeciesVolume as SpeciesVolume,
    free_volume as free_volume,
    reference_volume as reference_volume,
)
