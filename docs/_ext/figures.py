"""Cells of tables that hold figures alone: they stay on one line where there is room for it."""

import re

from docutils import nodes
from sphinx.application import Sphinx

FIGURES = re.compile(r"[-\d.,/()%± e^]*(?:dB|s|MiB)?$")
LONGEST = 32
"""Letters of a cell that is still a figure."""
WORDS = 18
"""Letters of a line into which other cells are broken."""
ROOM = 92
"""Letters that stand side by side in a table between the two side bars."""
UNBROKEN = re.compile(r"\([^()]*\)|± [^ ]*| /")
"""Pieces of figures in which no line ends."""


def mark_figures(app: Sphinx, doctree: nodes.document) -> None:
    """The class "figure-cell" for cells of digits and signs, and for empty ones.

    Where figures are broken into lines, as in a table that would be too wide, which has the class
    "wide-figures", a slash stays at its end and brackets stay whole.
    """
    for table in doctree.findall(nodes.table):
        cells = [list(row.findall(nodes.entry)) for row in table.findall(nodes.row)]
        for cell in (cell for row in cells for cell in row if is_figure(cell)):
            cell["classes"].append("figure-cell")
        if width(cells) > ROOM:
            table["classes"].append("wide-figures")
        for text in list(table.findall(nodes.Text)):
            if FIGURES.match(text):
                text.parent.replace(text, nodes.Text(UNBROKEN.sub(whole, text)))


def whole(piece: re.Match[str]) -> str:
    """A piece of figures in which no line ends."""
    return piece[0].replace(" ", "\N{NO-BREAK SPACE}")


def is_figure(cell: nodes.entry) -> bool:
    """Whether a cell holds digits and signs alone, or nothing."""
    text = cell.astext().strip()
    return len(text) <= LONGEST and FIGURES.match(text) is not None


def width(cells: list[list[nodes.entry]]) -> int:
    """Letters side by side if no figure is broken."""
    longest = [
        max(
            len(cell.astext()) if is_figure(cell) else min(len(cell.astext()), WORDS)
            for cell in column
        )
        for column in zip(*cells, strict=False)
    ]
    return sum(longest)


def setup(app: Sphinx) -> dict:
    app.connect("doctree-read", mark_figures)
    return {"parallel_read_safe": True}
