"""Morphologies: shapes of cells, read from files, worked on, kept, and given to cells."""
