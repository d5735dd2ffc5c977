"""Placement: how many cells of each type, and where. One module per strategy; `strategy` is the contract."""
