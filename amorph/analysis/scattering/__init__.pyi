from .comparison import Comparison as Comparison, compare as compare
from .mixing import AmorphousShare as AmorphousShare, amorphous_share as amorphous_share
from .partials import CONVENTION as CONVENTION, StructureFactor as StructureFactor, structure_factor as structure_factor
from .peak import SharpPeak as SharpPeak, first_sharp_peak as first_sharp_peak
from .powder import PowderPattern as PowderPattern, powder_pattern as powder_pattern
from .real_space import PairFunction as PairFunction, pair_function as pair_function
