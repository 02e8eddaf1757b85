from .marching import contour as contour
from .mesh import Mesh as Mesh
from .window import isosurface as isosurface
