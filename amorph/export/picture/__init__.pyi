from .colors import Colors as Colors, element_color as element_color
from .draw import styles_of as styles_of, write_picture as write_picture
from .periodic import (
    drawn_atoms as drawn_atoms,
    images_on_faces as images_on_faces,
    whole_polyhedra as whole_polyhedra,
)
from .scenes import PATH_HIGH as PATH_HIGH, PATH_LOW as PATH_LOW, SURFACE as SURFACE, Style as Style
