"""Cells of tables that hold figures alone: they are set on one line, and the table scrolls."""

import re

from docutils import nodes
from sphinx.application import Sphinx

FIGURES = re.compile(r"[-\d.,/()%± e^]+(?:dB|s|MiB)?$")
LONGEST = 32
"""Letters of a cell that is still a figure."""


def mark_figures(app: Sphinx, doctree: nodes.document) -> None:
    """The class "figure-cell" for cells of digits and signs."""
    for cell in doctree.findall(nodes.entry):
        text = cell.astext().strip()
        if len(text) <= LONGEST and FIGURES.match(text):
            cell["classes"].append("figure-cell")


def setup(app: Sphinx) -> dict:
    app.connect("doctree-read", mark_figures)
    return {"parallel_read_safe": True}
