from .draw import styles_of as styles_of, write_picture as write_picture
from .scenes import PATH_HIGH as PATH_HIGH, PATH_LOW as PATH_LOW, SURFACE as SURFACE, Style as Style
