from . import (
    analysis as analysis,
    calculators as calculators,
    chgnet as chgnet,
    ensemble as ensemble,
    export as export,
    fields as fields,
    figures as figures,
    machine as machine,
    meltquench as meltquench,
    parameters as parameters,
    pipeline as pipeline,
    progress as progress,
    reading as reading,
    relaxation as relaxation,
    report as report,
    rocksalt as rocksalt,
    run as run,
    structure as structure,
    substitution as substitution,
    tables as tables,
)
from .analysis.bvs import bond_valence_sums as bond_valence_sums, bvs_map as bvs_map, bvs_maps as bvs_maps
from .analysis.bvse import bvse_map as bvse_map
from .analysis.crystallinity import crystallinity as crystallinity
from .analysis.distance import distance_map as distance_map
from .analysis.electrochemistry import voltage as voltage
from .analysis.isosurface import contour as contour, isosurface as isosurface
from .analysis.percolation import (
    migration_path as migration_path,
    percolation as percolation,
    percolation_thresholds as percolation_thresholds,
)
from .analysis.transport import arrhenius as arrhenius, diffusion as diffusion
from .analysis.voids import voids as voids
from .analysis.voronoi import (
    face_coordination as face_coordination,
    free_volume as free_volume,
    tessellate as tessellate,
)
from .chgnet import CHGNetCalculator as CHGNetCalculator
from .meltquench import QuenchSchedule as QuenchSchedule, Segment as Segment, melt_quench as melt_quench
from .reading import read_field as read_field, read_structure as read_structure, read_trajectory as read_trajectory
from .relaxation import relax as relax
from .rocksalt import build as build
from .structure import with_oxidation_states as with_oxidation_states
from .substitution import substitute as substitute

__version__: str
from .analysis.glass_report import structure_report as structure_report
from .analysis.order import (
    bond_angles as bond_angles,
    coordination as coordination,
    pair_distributions as pair_distributions,
    rings as rings,
)
from .analysis.scattering import powder_pattern as powder_pattern, structure_factor as structure_factor
