"""Files of morphologies for tests, five dialects of SWC among them, and how to read them."""

from pathlib import Path

from snakefold.config.context import BuildContext, building
from snakefold.config.nodes import Node
from snakefold.morphology.parsers import BsbParser

HEAD = "# original-source: drawn by hand\n#   id type x y z radius parent\n"
ARBOR = """\
{a} 3 5 0 0 1 {soma}
{b} 3 10 0 0 1 {a}
{c} 3 15 5 0 0.5 {b}
{d} 3 20 5 0 0.5 {c}
{e} 3 15 -5 0 0.5 {b}
{f} 2 0 -5 0 0.5 {soma}
{g} 2 0 -20 0 0.25 {f}
"""


def arbor(first: int, soma: int) -> str:
    """Return the lines of the arbor, numbered from `first`, growing from the point `soma`."""
    return ARBOR.format(**{letter: first + i for i, letter in enumerate("abcdefg")}, soma=soma)


DIALECTS = {
    "single point soma": HEAD + "1 1 0 0 0 5 -1\n" + arbor(2, 1),
    "three point soma": HEAD + "1 1 0 0 0 5 -1\n2 1 0 -5 0 5 1\n3 1 0 5 0 5 1\n" + arbor(4, 1),
    "contour soma": HEAD + "1 1 0 0 0 1 -1\n2 1 2 0 0 1 1\n3 1 2 2 0 1 2\n4 1 0 2 0 1 3\n" + arbor(5, 1),
    "no soma": HEAD + "1 3 0 0 0 1 -1\n" + arbor(2, 1).replace(" 2 0 ", " 3 0 "),
    "unsorted, sparse ids, CRLF, tabs, comments behind points, further columns": (
        "\ufeff# written on Windows\r\n\r\n"
        + "".join(
            "\t".join(line.split()) + " 17 # note\r\n"
            for line in reversed(("7 1 0 0 0 5 -1\n" + arbor(100, 7)).splitlines())
        )
    ),
}
CELL = DIALECTS["single point soma"]
OTHER = "1 1 0 0 0 4 -1\n2 3 0 10 0 1 1\n3 3 0 30 5 1 2\n4 16 0 -10 0 1 1\n5 16 3 -30 0 1 4\n"
ASC = """\
("CellBody"
 (Color Red)
 (CellBody)
 (0 0 0 1 S1)
 (1 0 0 1 S2)
 (1 1 0 1 S2)
)
((Dendrite)
 (3 0 0 2)
 (4 0 0 2)
 (
  (5 1 0 2)
  (6 1 0 2)
  |
  (5 -1 0 2)
  (6 -1 0 2)
 )
)
"""


def made_of(cls: type[Node], attributes: dict) -> Node:
    """Return a node of attributes in which nothing is wrong."""
    with building(BuildContext()) as build:
        node = cls.build(attributes)
    assert not build.mistakes, build.mistakes
    return node


def parsed(folder: Path, text: str | bytes, name: str = "cell.swc", parser: type[Node] = BsbParser, **attributes):
    """Return the morphology of a file with a text."""
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return made_of(parser, attributes).parse(file)
