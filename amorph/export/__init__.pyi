from .mesh import MESH_WRITERS as MESH_WRITERS, write_mesh as write_mesh
from .pathways import PATH_WRITERS as PATH_WRITERS, write_path as write_path
from .structures import (
    structure_writer as structure_writer,
    write_structure as write_structure,
    write_structures as write_structures,
)
from .vasp import LAST_WRITTEN as LAST_WRITTEN, write_vasp_input as write_vasp_input
from .whole_files import replacing as replacing, writer_for as writer_for
