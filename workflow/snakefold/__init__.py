"""Snakefold: brain circuits built and simulated as a Snakemake workflow."""

__version__ = "0.1.0"
