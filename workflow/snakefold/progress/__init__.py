"""Progress: what the jobs of a run are doing, for a terminal, for a log, for listeners, and for `snakefold status`."""
