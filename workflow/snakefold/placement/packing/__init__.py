"""Packing spheres region by region, so that no two overlap and no result depends on who computes which region.

Space is cut by planes into a lattice of regions: corners, edges, faces and interiors, each as far from the next of its
level as spheres of two of them can reach together. A sphere belongs to the region of its start point and stays there.
Regions of one level are solved independently, against final spheres of the levels above (corner, edge, face, interior);
spheres of levels below take part as ghosts, which move along and are forgotten.

`lattice`: regions and their boxes. `kernels`: one region, compiled. `solver`: which regions some chunks need, and in
what order. `somata`: cells as spheres. `cache`: where what is compiled is kept.
"""
