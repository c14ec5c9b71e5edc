"""The gallery: every script runs, draws, and prints the figures that its prose speaks of."""

import re
import runpy
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

GALLERY = Path(__file__).parents[2] / "examples" / "gallery"
PSNR = re.compile(r"(-?\d+\.\d+) dB")
BEST = {
    "plot_color": (28, 31),
    "plot_compare_priors": None,
    "plot_crate_layers": (29, 31),
    "plot_deblur": (28.8, 30),
    "plot_deepinv_admm": (26, 30),
    "plot_inpaint": (32, 36),
    "plot_own_denoiser": (26, 29),
    "plot_own_operator": (39, 43),
    "plot_read_prior": None,
    "plot_sample_digits": None,
    "plot_sparse_ct": (46, 50),
}
"""Script -> bounds on the best PSNR that it prints, dB; None where others are checked."""
FACTS = {
    "plot_compare_priors": (r"^lpn-gray(?: +\d+\.\d+){4} +(\d+\.\d+)$", 31.5, 33.5),
    "plot_crate_layers": (r"^trained.* (\d+) nats", 5, 14),
    "plot_deepinv_admm": (r"largest rise over a step is (-?[\d.e+-]+)$", -1e6, 0),
    "plot_own_denoiser": (r"^NonLocalMeans.*margin (-?\d+\.\d+); not certified", -1, -0.01),
    "plot_read_prior": (r"^photograph +(\d+\.\d+) nats", 0.3, 0.8),
    "plot_sample_digits": (r"^proximal, hybrid +10 steps: sure of +(\d+)%", 70, 100),
    "plot_sparse_ct": (r"^lpn-ct .*liver +(\d+\.\d+) HU", 2, 6.5),
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


@pytest.mark.parametrize("name", scripts())
def test_a_script_runs_and_its_figures_are_sound(name, capsys, monkeypatch):
    monkeypatch.delenv("PROXLAB_DATA", raising=False)
    said = run(GALLERY / f"{name}.py", capsys, monkeypatch)
    assert sound(said, BEST[name], FACTS.get(name)), said


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
