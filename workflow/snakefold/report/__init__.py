"""The report: what was built against what was wanted, and what the simulations did, on one page without the network."""
