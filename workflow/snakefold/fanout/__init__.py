"""Fan-out: one tile's chunks, on one process or several ranks, through a journal."""
