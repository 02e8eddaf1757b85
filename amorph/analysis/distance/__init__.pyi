from .maps import distance_map as distance_map, fill_distances as fill_distances, map_distances as map_distances
