"""What the package cerebellar-models makes reports with; the report of the workflow takes their place."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.strategy import AfterConnectivity
from snakefold.nest.hooks import AfterSimulation


def _instead(name: str | None) -> list[str]:
    return [f'report.html shows what there is to see; "{name}" is not made']


class StructureReport(AfterConnectivity):
    """Accepted as that of cerebellar-models; the report of the workflow shows cells and synapses."""

    algorithm_version: ClassVar[int] = 1

    output_filename = Attribute(types.string(), required=True, doc="A file that is not made.", semantic=False)

    def warnings(self) -> list[str]:
        return _instead(self.output_filename)

    def postprocess(self, edges: Mapping[str, dict], rng: np.random.Generator) -> dict:
        return {}


class SimulationReport(AfterSimulation):
    """Accepted as that of cerebellar-models; the report of the workflow shows spikes and rates."""

    algorithm_version: ClassVar[int] = 1

    output_filename = Attribute(types.string(), required=True, doc="A file that is not made.", semantic=False)
    time_from = Attribute(types.number(min=0), default=0.0, unit="ms", doc="Not used.", semantic=False)
    time_to = Attribute(types.number(min=0), unit="ms", doc="Not used.", semantic=False)
    ignored_ct = Attribute(types.ListOf(types.string()), doc="Not used.", semantic=False)

    def warnings(self) -> list[str]:
        return _instead(self.output_filename)

    def adds(self) -> list[str]:
        return []

    def postprocess(self, results: Path, output: Path, rng: np.random.Generator) -> None:
        pass
