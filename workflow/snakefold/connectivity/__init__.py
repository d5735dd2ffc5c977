"""Connectivity: which cells have synapses with which. One module per strategy; `strategy` is the contract."""
