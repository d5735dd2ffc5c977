"""Structures of an atlas: an annotation volume, and the hierarchy of the regions whose ids it has.

The BSB downloads both; here they are files, so that a circuit depends on nothing that may change. Those of the Allen
mouse brain atlas (Wang et al. 2020, Cell 181:936, common coordinate framework, version 3) are at the addresses below.
"""

import functools
import json
import re
from pathlib import Path

import numpy as np

from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.errors import UserError, did_you_mean, listed
from snakefold.topology.nrrd import VolumeOf
from snakefold.topology.voxels import NrrdVoxels

ANNOTATION = (
    "https://download.alleninstitute.org/informatics-archive/current-release/mouse_ccf/annotation/ccf_2017/"
    "annotation_25.nrrd"
)
ONTOLOGY = "http://api.brain-map.org/api/v2/structure_graph_download/1.json"


class AllenStructure(NrrdVoxels):
    """A structure of an atlas: the voxels of an annotation that have its id, or that of a structure within it."""

    mask_source = Attribute(
        VolumeOf(),
        required=lambda node: f"nothing is downloaded; get the annotation, as from {ANNOTATION}, and name the file",
        doc="The annotation: a volume with the id of a structure in each voxel.",
    )
    ontology = Attribute(
        types.FileOf(),
        required=lambda node: f"nothing is downloaded; get the hierarchy, as from {ONTOLOGY}, and name the file",
        doc="The hierarchy of the structures, JSON as the Allen Institute's structure graph.",
    )
    struct_id = Attribute(types.integer(min=1), doc="Id of the structure.")
    struct_name = Attribute(types.string(), doc="Name or acronym of the structure, in upper or lower case.")

    def misfits(self):
        if (self.struct_id is None) == (self.struct_name is None):
            yield (), 'which structure? Give either "struct_id" or "struct_name"'
        elif self.ontology is not None:
            try:
                self.ids  # noqa: B018, kept for later
            except UserError as error:
                yield ("struct_id" if self.struct_name is None else "struct_name",), error.mistakes[0].message
        yield from super().misfits()

    @functools.cached_property
    def ids(self) -> list[int]:
        """The ids of the structure and of all within it, ascending.

        Raises
        ------
        UserError : the hierarchy is none, or has no such structure
        """
        regions = _regions(str(self.ontology.path), self.ontology.digest)
        if self.struct_id is not None:
            found = regions.find(self.struct_id, attr="id", with_descendants=True)
            if not found:
                raise UserError(f"no structure has the id {self.struct_id} in {self.ontology}")
            return sorted(found)
        name = self.struct_name.strip()
        try:
            for attribute in ("name", "acronym"):
                if found := regions.find(name, attr=attribute, ignore_case=True, with_descendants=True):
                    return sorted(found)
        except re.error as error:
            raise UserError(f'"{name}" begins with @ and is no regular expression: {error}') from error
        names = [regions.get(i, attribute) for i in regions.find("@", "name") for attribute in ("name", "acronym")]
        raise UserError(f'no structure is called "{name}" in {self.ontology}{did_you_mean(name, names)}')

    def selects(self, values: np.ndarray) -> np.ndarray:
        return np.isin(values, np.array(self.ids))

    def selection(self) -> str:
        structure = self.struct_name if self.struct_id is None else self.struct_id
        return f"has an id of structure {structure} ({listed(self.ids)})"


@functools.cache
def _regions(path: str, digest: str):
    """Return the voxcell.RegionMap of a file.

    Raises
    ------
    UserError : it has no hierarchy of structures
    """
    from voxcell import RegionMap, VoxcellError

    try:
        tree = json.loads(Path(path).read_text(encoding="utf-8"))
        (tree,) = tree.get("msg", [tree])
        regions = RegionMap.from_dict(tree)
        regions.find("@", attr="name"), regions.find("@", attr="acronym")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, VoxcellError) as error:
        what = "is no hierarchy of structures with id, name, acronym and children"
        said = f": {error}" if isinstance(error, ValueError | VoxcellError) else ""  # others speak of Python's types
        raise UserError(f"{path} {what}{said}") from error
    return regions
