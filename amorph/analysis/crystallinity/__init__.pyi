from .order import (
    bond_harmonics as bond_harmonics,
    displaced_shares as displaced_shares,
    displacements as displacements,
    harmonic_products as harmonic_products,
    nearest_pairs as nearest_pairs,
)
from .trajectory import (
    settled_frames as settled_frames,
    unwrap as unwrap,
    verdict_of_trajectory as verdict_of_trajectory,
)
from .verdict import Crystallinity as Crystallinity, crystallinity as crystallinity
