"""Where cells may be: regions lay out partitions, the grid cuts them into chunks, tiles gather chunks into jobs."""
