from .write import FIELD_WRITERS as FIELD_WRITERS, check_field_file as check_field_file, write_field as write_field
