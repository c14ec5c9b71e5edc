"""The gallery: every script runs, draws, and prints the figures that its prose speaks of.

Where `PROXLAB_GALLERY` names the pages of a site that was built just now, scripts are not run once
more: what they printed is read from there. `.ci/run` does so; docs/_ext/gallery_checks.py has then
seen to warnings and empty axes.
"""

import hashlib
import json
import os
import re
import runpy
import warnings
from pathlib import Path
from textwrap import dedent

import matplotlib.pyplot as plt
import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from sphinx_gallery.gen_gallery import DEFAULT_GALLERY_CONF
from sphinx_gallery.notebook import jupyter_notebook
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

GALLERY = Path(__file__).parents[2] / "examples" / "gallery"
NOTEBOOK = "plot_crate_layers"
"""The script that is run as a notebook too: the quickest."""
PRINTED = re.compile(
    r"^\.\. rst-class:: sphx-glr-script-out\n\n \.\. code-block:: none\n\n((?: {4}.*\n|\n)*)",
    re.MULTILINE,
)
PSNR = re.compile(r"(-?\d+\.\d+) dB")
BEST = {
    "plot_color": (28, 31),
    "plot_compare_priors": None,
    "plot_crate_layers": (29, 31),
    "plot_deblur": (28.8, 30),
    "plot_deepinv_admm": (26, 30),
    "plot_inpaint": (32, 36),
    "plot_measured_psf": (28.5, 30.5),
    "plot_mri": (28.8, 31),
    "plot_own_denoiser": (26, 29),
    "plot_own_operator": (32.5, 34.5),
    "plot_posterior": (28.5, 30.5),
    "plot_read_prior": None,
    "plot_rotation_axis": (47, 52),
    "plot_sample_digits": None,
    "plot_sparse_ct": (46, 50),
    "plot_superres": (31.2, 32.5),
    "plot_train_on_folder": (22.9, 24.5),
}
"""Script -> bounds on the best PSNR that it prints, dB; None where others are checked."""
FACTS = {
    "plot_compare_priors": (r"^lpn-gray(?: +\d+\.\d+){4} +(\d+\.\d+)$", 31.5, 33.5),
    "plot_crate_layers": (r"^trained.* (\d+) nats", 5, 14),
    "plot_deepinv_admm": (r"largest rise over a step is (-?[\d.e+-]+)$", -1e6, 0),
    "plot_measured_psf": (r"^by the round kernel +(\d+\.\d+) dB$", 22, 25),
    "plot_own_denoiser": (r"^NonLocalMeans.*margin (-?\d+\.\d+); not certified", -1, -0.01),
    "plot_posterior": (r"^intervals of 80 % hold (\d+) %", 70, 86),
    "plot_read_prior": (r"^photograph +(\d+\.\d+) nats", 0.3, 0.8),
    "plot_rotation_axis": (r"^offset (\d+\.\d+) ", 2.65, 2.75),
    "plot_sample_digits": (r"^proximal, restricted +3 steps: sure of +(\d+)%", 70, 100),
    "plot_sparse_ct": (r"^lpn-ct .*liver +(\d+\.\d+) HU", 2, 6.5),
    "plot_train_on_folder": (r"^lpn-gray +(\d+\.\d+) dB, certified$", 22, 23.1),
}
"""Script -> a figure that the text of it relies on, and its bounds."""


def scripts() -> list[str]:
    return sorted(path.stem for path in GALLERY.glob("plot_*.py"))


def run(path: Path, capsys, monkeypatch) -> str:
    """What a script prints; it must leave one figure open, whose axes hold something."""
    plt.switch_backend("Agg")
    monkeypatch.setattr(plt, "show", lambda: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runpy.run_path(str(path), run_name="__main__")
    assert len(plt.get_fignums()) == 1
    figure = plt.gcf()
    figure.canvas.draw()  # a figure may fail as late as here
    assert all(ax.has_data() for ax in figure.axes)
    return capsys.readouterr().out


def sound(said: str, bounds: tuple[float, float] | None, fact: tuple | None) -> bool:
    """Whether the best PSNR printed, and the fact, lie within their bounds."""
    if bounds is not None:
        best = max(map(float, PSNR.findall(said)))
        if not bounds[0] < best < bounds[1]:
            return False
    if fact is None:
        return True
    pattern, low, high = fact
    found = re.search(pattern, said, re.MULTILINE)
    return found is not None and low < float(found[1]) < high


@pytest.fixture(autouse=True)
def _no_figures_left():
    plt.close("all")
    yield
    plt.close("all")


def printed(script: Path, pages: Path) -> str:
    """What a script printed when its page was made; it must be this script, and draw one figure."""
    made_of = (pages / f"{script.name}.md5").read_text()
    assert made_of == hashlib.md5(script.read_bytes()).hexdigest(), "the page is of another script"
    pictures = sorted(p.name for p in (pages / "images").glob(f"sphx_glr_{script.stem}_0??.png"))
    assert pictures == [f"sphx_glr_{script.stem}_001.png"]
    page = (pages / f"{script.stem}.rst").read_text()
    return "".join(dedent(block) for block in PRINTED.findall(page))


def as_notebook(script: Path, folder: Path) -> list:
    """Outputs of a script's cells, run in a kernel as the notebook that the site offers."""
    _, blocks = split_code_and_text_blocks(str(script))
    made = jupyter_notebook(blocks, dict(DEFAULT_GALLERY_CONF), folder)
    notebook = nbformat.reads(json.dumps(made), as_version=4)
    cells = NotebookClient(notebook, resources={"metadata": {"path": folder}}).execute().cells
    return [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.parametrize("name", scripts())
def test_a_script_runs_and_its_figures_are_sound(name, capsys, monkeypatch):
    monkeypatch.delenv("PROXLAB_DATA", raising=False)
    script, pages = GALLERY / f"{name}.py", os.environ.get("PROXLAB_GALLERY")
    said = printed(script, Path(pages)) if pages else run(script, capsys, monkeypatch)
    assert sound(said, BEST[name], FACTS.get(name)), said


def test_a_script_runs_as_a_notebook(tmp_path, monkeypatch):
    monkeypatch.delenv("PROXLAB_DATA", raising=False)
    outputs = as_notebook(GALLERY / f"{NOTEBOOK}.py", tmp_path)
    said = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stdout")
    assert sound(said, BEST[NOTEBOOK], FACTS[NOTEBOOK]), said
    assert sum("image/png" in o.get("data", {}) for o in outputs) == 1


def test_a_notebook_that_fails_is_caught(tmp_path):
    script = tmp_path / "plot_planted.py"
    script.write_text('"""\nPlanted\n=======\n"""\n\n# %%\n# Text.\n\nprint(1 / 0)\n')
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        as_notebook(script, tmp_path)


@pytest.mark.parametrize("name", scripts())
def test_a_script_is_short_and_told_in_cells(name):
    text = (GALLERY / f"{name}.py").read_text()
    assert 40 <= len([line for line in text.splitlines() if line]) <= 80
    assert text.count("\n# %%\n") >= 3
    assert "# What to look for\n# ----" in text and text.endswith("plt.show()\n")
    for line, under in re.findall(r"^# (.+)\n# (-+)$", text, re.MULTILINE):
        assert len(line) == len(under)


def test_all_scripts_have_bounds():
    assert set(BEST) == set(scripts()) and all(BEST[n] or n in FACTS for n in BEST)


def test_a_script_that_draws_nothing_or_restores_nothing_is_caught(tmp_path, capsys, monkeypatch):
    script = tmp_path / "plot_planted.py"
    script.write_text("print('lpn-gray 12.00 dB')\n")
    with pytest.raises(AssertionError):
        run(script, capsys, monkeypatch)
    script.write_text("import matplotlib.pyplot as plt\nplt.subplots()\nplt.show()\n")
    with pytest.raises(AssertionError):
        run(script, capsys, monkeypatch)
    assert sound("measured 24.00 dB\ntv 29.50 dB", (29, 30), None)
    assert not sound("measured 24.00 dB\ntv 24.10 dB", (29, 30), None)
    assert not sound("tv 29.50 dB", (29, 30), FACTS["plot_read_prior"])


PAGE = """.. rst-class:: sphx-glr-script-out

 .. code-block:: none

    measured 24.00 dB

    tv       29.50 dB


.. GENERATED FROM PYTHON SOURCE LINES 3-5

Text.

.. rst-class:: sphx-glr-script-out

 .. code-block:: none

    10 steps
"""


def test_what_a_page_printed_is_read_and_a_page_of_another_script_is_caught(tmp_path):
    script = tmp_path / "plot_planted.py"
    script.write_text("print('tv 29.50 dB')\n")
    pages = tmp_path / "pages"
    (pages / "images").mkdir(parents=True)
    (pages / "plot_planted.rst").write_text(PAGE)
    (pages / "plot_planted.py.md5").write_text(hashlib.md5(script.read_bytes()).hexdigest())
    with pytest.raises(AssertionError):  # no picture
        printed(script, pages)
    (pages / "images" / "sphx_glr_plot_planted_001.png").touch()
    said = printed(script, pages)
    assert said.split() == ["measured", "24.00", "dB", "tv", "29.50", "dB", "10", "steps"]
    assert sound(said, (29, 30), (r"^(\d+) steps$", 9, 11))
    script.write_text("print('tv 30.50 dB')\n")
    with pytest.raises(AssertionError, match="another script"):
        printed(script, pages)
