"""Where on a cell a contact is, as SONATA says it: section, segment of the section, offset along the segment.

A section is a branch, numbered from 1; what belongs to the soma is section 0. Segment s of a section reaches from its
point s to its point s + 1; the offset is the distance from the segment's start, um, the position that from the
section's start, 0 to 1. Reference: SONATA, "Representing edges", afferent_ and efferent_ columns.
"""

from dataclasses import dataclass

import numpy as np

from snakefold.morphology.morphology import Morphology

AFFERENT, EFFERENT = "afferent", "efferent"  # of the target, of the source
KINDS = {"section_id": "u4", "section_pos": "f4", "segment_id": "u4", "segment_offset": "f4"}
SOMA = 1  # the type that SWC gives points of a soma


def columns(*sides: str) -> dict[str, str]:
    """Return the columns of an edge set with the locations of its contacts on some sides: name -> dtype."""
    return {f"{side}_{name}": kind for side in sides for name, kind in KINDS.items()}


@dataclass(frozen=True)
class Locations:
    """The location of each point of a morphology.

    Attributes
    ----------
    section_id, segment_id : (n_points,) uint32
    section_pos : (n_points,) float32, 0 to 1
    segment_offset : (n_points,) float32, um
    """

    section_id: np.ndarray
    section_pos: np.ndarray
    segment_id: np.ndarray
    segment_offset: np.ndarray

    @classmethod
    def of(cls, morphology: Morphology) -> "Locations":
        """Return those of a morphology."""
        index = np.arange(len(morphology)) - morphology.first[morphology.branch_of]
        step = np.diff(morphology.points, axis=0, prepend=morphology.points[:1])
        length = np.sqrt((step**2).sum(axis=1))
        length[morphology.first] = 0.0
        along = np.cumsum(length)
        along -= along[morphology.first][morphology.branch_of]
        whole = along[morphology.last][morphology.branch_of]
        soma = morphology.tags == SOMA
        section = np.where(soma, 0, morphology.branch_of + 1)
        position = np.where(soma | (whole == 0), 0.0, along / np.where(whole > 0, whole, 1.0))
        return cls(
            section.astype(np.uint32),
            position.astype(np.float32),
            np.where(soma, 0, np.maximum(index - 1, 0)).astype(np.uint32),
            np.where(soma, 0.0, length).astype(np.float32),
        )


def locate(side: str, morphology: Morphology, points: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns of contacts at some points, (n,) indices, of a morphology: name -> (n,)."""
    of = Locations.of(morphology)
    return {f"{side}_{name}": getattr(of, name)[points].astype(kind) for name, kind in KINDS.items()}
