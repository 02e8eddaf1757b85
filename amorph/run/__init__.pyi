from .checkpoints import (
    Checkpoints as Checkpoints,
    State as State,
    read_checkpoint as read_checkpoint,
    write_checkpoint as write_checkpoint,
)
from .configuration import (
    binding as binding,
    difference as difference,
    holds as holds,
    read_json as read_json,
    read_run_toml as read_run_toml,
    toml_form as toml_form,
    write_json as write_json,
)
from .csv_files import csv_rows as csv_rows, write_csv as write_csv
from .directory import SUMMARY as SUMMARY, RunDirectory as RunDirectory, holds_results as holds_results
from .durable import (
    appended as appended,
    make_folder as make_folder,
    refuse_links as refuse_links,
    remove_unfinished as remove_unfinished,
    sha256_of as sha256_of,
    write_atomically as write_atomically,
)
from .stage import (
    Finished as Finished,
    Stage as Stage,
    as_from as as_from,
    begun as begun,
    check_outputs as check_outputs,
    read_structure as read_structure,
    structure_text as structure_text,
)
from .stopping import Stopped as Stopped, StopRequest as StopRequest, Work as Work, stop_on_signal as stop_on_signal
