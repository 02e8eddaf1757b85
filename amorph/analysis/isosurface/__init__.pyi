from .marching import contour as contour
from .mesh import Mesh as Mesh
from .nested import nested_surfaces as nested_surfaces
from .window import isosurface as isosurface, without_gaps as without_gaps
