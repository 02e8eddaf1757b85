from .angles import Angles as Angles, BondAngles as BondAngles, bond_angles as bond_angles
from .bonds import Cutoffs as Cutoffs, bond_cutoffs as bond_cutoffs
from .cycles import Rings as Rings, RingStatistics as RingStatistics, find_rings as find_rings, rings as rings
from .distributions import PairDistributions as PairDistributions, pair_distributions as pair_distributions
from .network import Connectivity as Connectivity, Sharing as Sharing, connectivity as connectivity
from .orientations import BondOrder as BondOrder, bond_order as bond_order
from .samples import Mean as Mean, Structures as Structures
from .shapes import Polyhedra as Polyhedra, PolyhedraShapes as PolyhedraShapes, polyhedra as polyhedra
from .shells import Coordination as Coordination, Shell as Shell, coordination as coordination
