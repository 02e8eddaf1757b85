from .draw import write_picture as write_picture
