"""Runs this circuit with bmtk's PointNet: python run_bmtk.py

Needs bmtk and NEST. Cells, synapses and their parameters are bmtk's to build, from bmtk_config.json; the devices that
stimulate them, which bmtk has no names for, are made by NEST from devices.json. Spikes go to output/spikes.h5.
"""

import json
from pathlib import Path

import nest
from bmtk.simulator import pointnet

HERE = Path(__file__).resolve().parent

config = pointnet.Config.from_json(str(HERE / "bmtk_config.json"))
config.build_env()
network = pointnet.PointNetwork.from_config(config)
simulator = pointnet.PointSimulator.from_config(config, network)

stimuli = json.loads((HERE / "devices.json").read_text())
nest.rng_seed = stimuli["rng_seed"]
for device in stimuli["devices"]:
    made = nest.Create(device["model"], params=device["params"])
    for target in device["targets"]:
        ids = [i for first, stop in target["node_ids"] for i in range(first, stop)]
        cells = nest.NodeCollection(network.gid_map.get_nestids(target["population"], ids).tolist())
        nest.Connect(made, cells, syn_spec=device["syn_spec"])

simulator.run()
