"""SONATA circuits: writing, reading and checking nodes, edges, spikes, reports and the circuit's configuration."""
