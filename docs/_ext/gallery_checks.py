"""Checks of the gallery while the site runs it: no warning, and no axes without anything in them.

tests/examples/test_gallery.py has the same rules for scripts that it runs by itself. In `.ci/run`,
where the site has just run them all, it reads the pages that came of it instead.
"""

import warnings
from pathlib import Path

KEPT: list[warnings.catch_warnings] = []
"""Filters of warnings as they were before the script that runs."""


def strict(gallery_conf: dict, script: str | None, when: str) -> None:
    """Make warnings errors before a script, and take that back after it."""
    if when == "before" and script is not None:
        KEPT.append(warnings.catch_warnings())
        KEPT[-1].__enter__()
        warnings.simplefilter("error")
    elif when == "after":
        KEPT.pop().__exit__(None, None, None)


def checked(block: object, block_vars: dict, gallery_conf: dict) -> str:
    """Figures of a cell as reStructuredText, by sphinx-gallery's own scraper for matplotlib.

    Raises ValueError, which ends the build, for a figure with axes that hold nothing.
    """
    import matplotlib.pyplot as plt
    from sphinx_gallery.scrapers import matplotlib_scraper

    for figure in map(plt.figure, plt.get_fignums()):
        if not all(ax.has_data() for ax in figure.axes):
            name = Path(block_vars["src_file"]).name
            raise ValueError(f"{name} draws axes that hold nothing; draw into them or remove them")
    return matplotlib_scraper(block, block_vars, gallery_conf)
