from .cells import Tessellation as Tessellation
from .cells import tessellate as tessellate
from .coordination import FaceCoordination as FaceCoordination
from .coordination import face_coordination as face_coordination
from .volumes import FreeVolume as FreeVolume
from .volumes import SpeciesVolume as SpeciesVolume
from .volumes import free_volume as free_volume
from .volumes import voronoi_volumes as voronoi_volumes
