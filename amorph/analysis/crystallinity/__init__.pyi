from .order import bond_harmonics as bond_harmonics
from .order import harmonic_products as harmonic_products
from .order import nearest_pairs as nearest_pairs
from .trajectory import settled_frames as settled_frames
from .trajectory import unwrap as unwrap
from .trajectory import verdict_of_trajectory as verdict_of_trajectory
from .verdict import Crystallinity as Crystallinity
from .verdict import crystallinity as crystallinity
