"""The figure of a comparison hides nothing, marks the best, and enlarges what nobody chose."""

import numpy as np
import pytest
from PIL import Image
from skimage.data import camera

from proxlab.comparison.case import PriorSettings
from proxlab.comparison.comparing import compare
from proxlab.comparison.enlarged import Part, most_different
from proxlab.comparison.figure import comparison_figure, draw_comparison
from proxlab.comparison.plan import Plan


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(rows, folder) of two priors on two problems of two images."""
    folder = tmp_path_factory.mktemp("photographs")
    for i in range(2):
        Image.fromarray(camera()[100 * i : 100 * i + 40, 200:280]).save(folder / f"{i}.png")
    out = tmp_path_factory.mktemp("out")
    few = Plan(default=PriorSettings(steps=40))
    return compare(["none", "tv"], ["deblur", "inpaint"], folder, out, few), out


def overlaps(figure):
    """Pairs of axes with pictures that cover a part of each other."""
    figure.canvas.draw()
    boxes = [ax.get_window_extent() for ax in figure.get_axes() if ax.images]
    boxes += [child.get_window_extent() for ax in figure.get_axes() for child in ax.child_axes]

    def common(a, b):
        width = min(a.x1, b.x1) - max(a.x0, b.x0)
        return width > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1

    return [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if common(a, b)]


def test_what_is_enlarged_hides_nothing_of_a_picture(made):
    rows, out = made
    figure = comparison_figure(rows, out)
    assert overlaps(figure) == []
    shapes = [ax.images[0].get_array().shape for ax in figure.get_axes()]
    assert shapes == ([(40, 80)] * 4 + [(32, 64)] * 4) * 2  # whole ones, and parts beneath


def test_an_inset_as_it_was_is_found_to_hide_a_corner(made):
    rows, out = made
    figure = comparison_figure(rows, out)
    figure.get_axes()[0].inset_axes((0.56, 0.56, 0.44, 0.44)).imshow(np.zeros((4, 4)))
    assert len(overlaps(figure)) == 1


def test_the_best_of_a_row_is_in_bold_and_no_other(made):
    rows, out = made
    axes = [ax for ax in comparison_figure(rows, out).get_axes() if ax.get_title()]
    bold = [ax.get_title() for ax in axes if ax.title.get_fontweight() == "bold"]
    for problem, title in zip(("deblur", "inpaint"), bold, strict=True):
        own = [r for r in rows if (r["problem"], r["image"]) == (problem, "0.png")]
        best = max(own, key=lambda row: row["psnr"])
        assert title == f"{best['prior']}\n{best['psnr']:.2f} dB"
    names = [ax.get_title().split("\n")[0] for ax in axes[1:4]]
    assert names == ["first estimate", "none", "tv"]


def test_the_figure_is_a_png_or_a_pdf_and_the_same_each_time(made, tmp_path):
    rows, out = made
    draw_comparison(tmp_path / "figure.png", rows, out, "1.png")
    with Image.open(tmp_path / "figure.png") as figure:
        assert figure.size[0] == 1248
    twice = []
    for _ in range(2):
        draw_comparison(tmp_path / "figure.pdf", rows, out)
        twice.append((tmp_path / "figure.pdf").read_bytes())
    assert twice[0].startswith(b"%PDF-") and twice[0] == twice[1]
    assert b"/FontType 42" in twice[0] or b"/CIDFontType2" in twice[0]
    with pytest.raises(ValueError, match=r"no image '7.png'; it has 0.png, 1.png"):
        draw_comparison(tmp_path / "other.png", rows, out, "7.png")


def test_enlarged_is_the_part_in_which_restorations_differ_most():
    flat = [np.zeros((30, 50)), np.zeros((30, 50))]
    flat[1][12:20, 31:37] = 5
    part = most_different(flat, 8, 8)
    assert part == (12, 29, 8, 8)  # of those that hold all of it, the first
    assert part.of(flat[1]).sum() == flat[1].sum()
    assert most_different(flat) == (0, 0, 30, 50)  # no larger than the image
    assert most_different([np.ones((9, 90))] * 2, 4, 8) == Part(0, 0, 4, 8)  # nothing differs
