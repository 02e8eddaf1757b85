from .boxes import Uniformity as Uniformity
from .boxes import uniformity as uniformity
from .ions import LocalFreeVolume as LocalFreeVolume
from .ions import local_free_volume as local_free_volume
from .nearest import ClarkEvans as ClarkEvans
from .nearest import clark_evans as clark_evans
