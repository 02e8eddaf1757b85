from .citations import VERBS as VERBS, bibtex as bibtex, keys_of_run as keys_of_run
from .found import found_run as found_run
from .members import is_ensemble as is_ensemble, write_ensemble_report as write_ensemble_report
from .plotting import charts_from as charts_from
from .steady import check_ensembles as check_ensembles, target_temperature as target_temperature, timed as timed
from .view import write_view as write_view
from .whole import REPORT as REPORT, write_report as write_report
