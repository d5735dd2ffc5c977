"""The rules by which the granular layer of the cerebellar cortex is wired.

A glomerulus belongs to one mossy fibre; a granule cell takes glomeruli of different mossy fibres; a Golgi cell is
reached by glomeruli near it, and reaches granule cells through glomeruli (Casali et al. 2019, Front. Neuroinform.
13:37; De Schepper et al. 2022, Communications Biology 5:1240). The classes answer to the names of the package
cerebellar-models, too, so that its descriptions are built without it. Candidates are all cells that are near enough,
whatever chunks they lie in.
"""
