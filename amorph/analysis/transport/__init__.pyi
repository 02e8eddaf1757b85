from .activation import Arrhenius as Arrhenius, arrhenius as arrhenius, fit_arrhenius as fit_arrhenius
from .motion import Diffusion as Diffusion, Tracer as Tracer, diffusion as diffusion
from .paths import Paths as Paths, unwrapped_paths as unwrapped_paths
from .regression import Line as Line, fit_line as fit_line, lags_of as lags_of
