from .maps import distance_map as distance_map
from .maps import fill_distances as fill_distances
from .maps import map_distances as map_distances
