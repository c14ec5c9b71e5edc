"""Short pieces of code in sentences, which a phone does not break: `--simulate` stays one word."""

from docutils import nodes
from sphinx.application import Sphinx

SHORT = 28
"""Letters that fit on a line of a phone beside a bullet."""


def mark_short(app: Sphinx, doctree: nodes.document) -> None:
    """The class "short" for code of few letters."""
    for literal in doctree.findall(nodes.literal):
        if len(literal.astext()) <= SHORT:
            literal["classes"].append("short")


def setup(app: Sphinx) -> dict:
    app.connect("doctree-read", mark_short)
    return {"parallel_read_safe": True}
