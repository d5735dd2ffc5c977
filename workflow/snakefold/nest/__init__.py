"""NEST: the description, a kernel process that answers questions about it, validation, and simulation."""
