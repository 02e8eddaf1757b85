from .maps import distance_map as distance_map, fill_distances as fill_distances
