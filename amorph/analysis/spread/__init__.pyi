from .boxes import Uniformity as Uniformity, uniformity as uniformity
from .ions import LocalFreeVolume as LocalFreeVolume, local_free_volume as local_free_volume
from .nearest import ClarkEvans as ClarkEvans, clark_evans as clark_evans
