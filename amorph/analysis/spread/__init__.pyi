from .boxes import Uniformity as Uniformity, uniformity as uniformity
from .ions import LocalFreeVolume as LocalFreeVolume, local_free_volume as local_free_volume
