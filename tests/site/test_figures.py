"""Tables of the site: which cells are figures, and which tables are too wide to keep them whole."""

import importlib
import sys
from pathlib import Path

import pytest
from docutils.core import publish_doctree

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


@pytest.fixture
def figures(monkeypatch):
    """The extension's module; it belongs to the site, to no package."""
    monkeypatch.syspath_prepend(str(EXTENSIONS))
    yield importlib.import_module("figures")
    sys.modules.pop("figures", None)


def table(*cells: str):
    """A document with a table of one row."""
    bar = " ".join("=" * 40 for _ in cells)
    return publish_doctree(f"{bar}\n{' '.join(f'{cell:40s}' for cell in cells)}\n{bar}\n")


def marked(figures, *cells: str):
    document = table("name", *cells)
    figures.mark_figures(None, document)
    return document


@pytest.mark.parametrize(
    "cell, figure",
    [
        ("32.18 / 29.66 / 26.37", True),
        ("27.2 dB", True),
        ("0.94 (0.81 / 0.88)", True),
        ("..", True),  # an empty cell of such a table
        ("not at rest", False),
        ("2 not at rest", False),
    ],
)
def test_figures_are_digits_and_signs(figures, cell, figure):
    last = list(marked(figures, cell).findall(figures.nodes.entry))[-1]
    assert ("figure-cell" in last["classes"]) == figure


@pytest.mark.parametrize("columns, wide", [(1, False), (3, False), (5, True)])
def test_a_table_is_wide_by_its_figures(figures, columns, wide):
    document = marked(figures, *["34.12 (0.711 / 0.912)"] * columns)
    (found,) = document.findall(figures.nodes.table)
    assert ("wide-figures" in found["classes"]) == wide


def test_words_are_broken_and_make_no_table_wide(figures):
    (found,) = marked(figures, *["words and words and words and words"] * 4).findall(
        figures.nodes.table
    )
    assert "wide-figures" not in found["classes"]


@pytest.mark.parametrize(
    "cell, kept",
    [
        ("34.1 (0.71 / 0.91)", "34.1 (0.71_/_0.91)"),
        ("32.18 / 29.66 / 26.37", "32.18_/ 29.66_/ 26.37"),
        ("29.23 ± 2.45 / 0.859", "29.23 ±_2.45_/ 0.859"),
        ("one / two", "one / two"),
    ],
)
def test_no_line_ends_in_brackets_or_before_a_slash(figures, cell, kept):
    assert kept.replace("_", "\N{NO-BREAK SPACE}") in marked(figures, cell).astext()
