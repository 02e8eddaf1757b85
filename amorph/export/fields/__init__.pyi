from .write import FIELD_WRITERS as FIELD_WRITERS
from .write import check_field_file as check_field_file
from .write import write_field as write_field
