"""Settings of the site, which is built by `python -m sphinx -W -b html docs docs/_build`.

No network is asked: links to deepinv, torch and numpy go by `_ext/inventories.py`.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from inventories import write_inventories  # noqa: E402

import proxlab  # noqa: E402

project, author = "proxlab", "the authors of proxlab"
copyright = "the authors of proxlab, MIT licence"
version = release = proxlab.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "docstrings",
    "figures",
    "links",
    "names_in_code",
    "short_code",
    "whole_options",
]
exclude_patterns = ["_build", "_ext"]
suppress_warnings = ["config.cache"]  # sphinx-gallery's settings hold a class, which no cache keeps
highlight_language = "none"  # of blocks that name no language: commands and formulas

myst_enable_extensions = ["attrs_inline", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
intersphinx_mapping = write_inventories(HERE / "_build" / "inventories")

# The gallery. While there are no scripts a page stands in for it, so that the site builds.
SCRIPTS = HERE.parent / "examples" / "gallery"
if any(SCRIPTS.glob("plot_*.py")):
    extensions.append("sphinx_gallery.gen_gallery")
    sphinx_gallery_conf = {
        "examples_dirs": str(SCRIPTS),
        "gallery_dirs": "gallery",
        "within_subsection_order": "gallery_order.place",
        "download_all_examples": False,
        "min_reported_time": 1e9,  # a list of seconds is no part of the gallery
        "write_computation_times": False,
        "remove_config_comments": True,
        "image_srcset": ["2x"],
        "thumbnail_size": (640, 400),
        "image_scrapers": ("gallery_checks.checked",),
        "reset_modules": ("matplotlib", "seaborn", "gallery_checks.strict"),
        "reset_modules_order": "both",
    }
else:
    (HERE / "gallery").mkdir(exist_ok=True)
    (HERE / "gallery" / "index.rst").write_text(
        "Gallery\n=======\n\nThe scripts of ``examples/gallery`` appear here.\n"
    )

html_theme = "pydata_sphinx_theme"
html_title = "proxlab"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "show_prev_next": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "github-dark",
}
ALONE = ("index", "quickstart", "choosing", "scale", "formulas", "references", "changelog")
html_sidebars = {page: [] for page in ALONE}  # nothing lies below them
