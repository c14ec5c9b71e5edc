"""What the site asks of the gallery: planted scripts that warn or draw nothing are caught.

The site itself is built in `.ci/run` alone.
"""

import importlib
import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


@pytest.fixture
def checks(monkeypatch):
    """The module; it belongs to the site, to no package."""
    monkeypatch.syspath_prepend(str(EXTENSIONS))
    yield importlib.import_module("gallery_checks")
    sys.modules.pop("gallery_checks", None)


def test_a_warning_is_an_error_while_a_script_runs_and_not_after_it(checks):
    before = list(warnings.filters)
    checks.strict({}, None, "before")  # of the folder, which has no end
    checks.strict({}, "plot_planted.py", "before")
    warnings.filterwarnings("ignore", message="what a script sets")
    with pytest.raises(UserWarning, match="planted"):
        warnings.warn("planted", UserWarning, stacklevel=1)
    checks.strict({}, "plot_planted.py", "after")
    assert list(warnings.filters) == before and checks.KEPT == []


def test_axes_that_hold_nothing_end_the_build(checks, monkeypatch):
    plt.switch_backend("Agg")
    plt.close("all")
    monkeypatch.setattr("sphinx_gallery.scrapers.matplotlib_scraper", lambda *_: "scraped")
    _, (left, right) = plt.subplots(1, 2)
    left.plot([1, 2])
    with pytest.raises(ValueError, match=r"plot_planted\.py draws axes that hold nothing"):
        checks.checked((), {"src_file": "gallery/plot_planted.py"}, {})
    right.plot([1, 2])
    assert checks.checked((), {"src_file": "gallery/plot_planted.py"}, {}) == "scraped"
    plt.close("all")
