from .plotting import charts_from as charts_from
from .view import write_view as write_view
from .whole import REPORT as REPORT, write_report as write_report
