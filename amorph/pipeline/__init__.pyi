from .analyses import ANALYSES as ANALYSES, Analysis as Analysis, Subject as Subject
from .chain import Chain as Chain
from .estimate import duration_text as duration_text
from .keys import Key as Key, explained as explained, keys_of as keys_of, study_keys as study_keys
from .order import STAGES as STAGES, Record as Record
from .rehearsal import rehearse as rehearse
from .shared_melt import SNAPSHOTS as SNAPSHOTS
from .stages import Setting as Setting
from .study import (
    TABLES as TABLES,
    Study as Study,
    Table as Table,
    general as general,
    read_study as read_study,
    resolve as resolve,
)
from .summary import Summary as Summary, summarize as summarize, summarize_melt as summarize_melt
from .whole import run_study as run_study
