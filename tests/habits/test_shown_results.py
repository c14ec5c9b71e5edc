"""Results in a console, in a notebook and in figures: short, true, and of the right image."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from matplotlib import pyplot
from PIL import Image
from skimage.data import astronaut

import proxlab
from proxlab.images.pictures import LARGEST, SMALLEST, draw, heat, picture, png

MASK = np.indices((24, 24)).sum(0) % 3 > 0
PHOTO = astronaut()[40:64, 190:214]
CORNERS = torch.zeros(3, 24, 24)
CORNERS[0, 0, 0] = CORNERS[1, 0, -1] = CORNERS[2, -1, 0] = 1  # red, green, blue


@pytest.fixture(autouse=True)
def _no_figures_left():
    pyplot.switch_backend("Agg")
    pyplot.close("all")
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def result():
    op = proxlab.operators.inpaint(MASK, noise=0.02)
    return proxlab.restore(PHOTO, op, "tv")


@pytest.fixture(scope="module")
def post():
    op = proxlab.operators.inpaint(MASK, noise=0.05)
    y = torch.from_numpy(PHOTO[..., 0] / 255).float()[None, None]
    return proxlab.posterior(y, op, "lpn-gray-small", n=4, steps=2)


class Page(HTMLParser):
    """Pictures, texts and tags of a piece of HTML; all tags must be closed."""

    def __init__(self, text: str):
        super().__init__()
        self.pictures: list[np.ndarray] = []
        self.sizes: list[tuple[int, int]] = []
        self.text, self.open = "", []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        if tag != "img":
            self.open.append(tag)
            return
        data = told["src"].removeprefix("data:image/png;base64,")
        self.pictures.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))))
        self.sizes.append((int(told["height"]), int(told["width"])))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_a_result_is_told_in_two_lines(result):
    first, second = repr(result).split("\n")
    assert first == "Restoration [24, 24, 3], an array of uint8 by pdhg with tv, noise 0.02"
    assert re.fullmatch(
        r"  \d+ steps, stopped by tolerance; certified: duality gap \d.*e-05", second
    )
    scored = repr(result.scored(PHOTO))
    expected = float(proxlab.metrics.psnr(result.pixels, image(PHOTO)))
    assert f", {expected:.2f} dB; certified" in scored


def image(levels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(levels / 255).float().permute(2, 0, 1)[None]


def test_a_score_is_of_the_floats_and_refuses_another_truth(result):
    assert result.psnr is None
    assert torch.equal(result.scored(PHOTO).psnr, proxlab.metrics.psnr(result.pixels, image(PHOTO)))
    with pytest.raises(ValueError, match="with a truth of their shape"):
        result.scored(PHOTO[..., 0])


def test_doubts_are_told_shortly_and_all_of_them_in_a_notebook(result):
    long = "a doubt <b>& another</b> " * 20
    doubted = replace(result, certified=[False], doubts=[long])
    assert "not certified: a doubt" in repr(doubted) and len(repr(doubted)) < 330
    page = Page(doubted._repr_html_())
    assert long.strip() in page.text  # as it is: no tag of it is one


def test_many_images_are_told_of_shortly():
    op = proxlab.operators.inpaint(MASK, noise=0.02)
    result = proxlab.restore(image(PHOTO).movedim(0, 1).repeat(3, 1, 1, 1), op, "tv", steps=3)
    lines = repr(result).split("\n")
    assert len(lines) == 6 and lines[-1] == "  and 5 more"
    assert len(Page(result._repr_html_()).pictures) == 4
    assert result.plot().shape == (5, 1)


def test_a_notebook_shows_the_image_and_the_verdict(result):
    page = Page(result._repr_html_())
    assert len(page.pictures) == 1 and page.sizes == [(SMALLEST, SMALLEST)]
    assert np.abs(page.pictures[0].astype(int) - result.image).max() <= 1
    assert "certified: duality gap" in page.text and "<script" not in result._repr_html_()


def shows_corners(pixels: np.ndarray) -> bool:
    """Whether the corners have the colours of `CORNERS`."""
    return [pixels[0, 0].argmax(), pixels[0, -1].argmax(), pixels[-1, 0].argmax()] == [0, 1, 2]


def test_a_picture_is_not_turned_and_its_colours_are_not_exchanged():
    assert shows_corners(np.asarray(Image.open(io.BytesIO(png(picture("", CORNERS))))))
    axes = draw([[picture("", CORNERS)]])
    assert shows_corners(axes[0, 0].images[0].get_array())
    for wrong in (CORNERS.mT, CORNERS.flip(0), CORNERS.flip(-1)):
        assert not shows_corners(np.asarray(Image.open(io.BytesIO(png(picture("", wrong))))))


def test_other_units_and_channels_are_told_in_the_title():
    assert picture("x", 255 * torch.ones(1, 8, 8))[::2] == ("x, white is 255", (0.0, 255.0))
    assert picture("x", 0.01 * torch.ones(1, 8, 8)).title == "x, white is 0.01"
    assert picture("x", torch.zeros(1, 8, 8)).window == (0.0, 1.0)
    assert picture("x", torch.ones(2, 8, 8)).title == "x, channel 1 of 2"
    assert picture("x", torch.full((1, 8, 8), torch.nan)).pixels.max() == 0
    assert heat("x", torch.zeros(3, 8, 8)).window == (0.0, 1.0)
    assert heat("x", 2 * torch.ones(3, 8, 8)).window == (0.0, 2.0)


def test_a_large_image_makes_a_small_page():
    ramp = torch.linspace(0, 1, 1000).expand(1, 700, -1)
    small = np.asarray(Image.open(io.BytesIO(png(picture("", ramp)))))
    assert small.shape == (234, 334) and max(small.shape) <= LARGEST
    assert np.abs(small[0, :333] / 255 - ramp[0, 0, 1::3].numpy()).max() < 0.01


def test_a_figure_has_what_was_asked_for(result):
    y = PHOTO * MASK[..., None].astype(np.uint8)
    axes = result.plot(y, truth=PHOTO)
    assert axes.shape == (2, 4)
    titles = [ax.get_title() for ax in axes[0]]
    assert titles[0] == "measured" and titles[2:] == ["truth", "error"]
    assert re.fullmatch(r"restored, \d\d\.\d\d dB", titles[1])
    assert np.allclose(axes[0, 2].images[0].get_array(), PHOTO / 255, atol=1e-6)
    restored = result.pixels[0].permute(1, 2, 0).clip(0, 1)
    assert np.allclose(axes[0, 1].images[0].get_array(), restored)
    (curve,) = axes[1, 0].get_lines()
    gap = result.trace.gap / result.trace.objective.abs()
    assert np.array_equal(curve.get_ydata(), gap[:, 0]) and gap[-1] < 1e-4 < gap[0]
    axes[0, 0].figure.canvas.draw()  # a figure may fail as late as here
    assert result.plot().shape == (2, 1)


def test_a_sinogram_is_shown_as_what_it_is():
    op = proxlab.operators.ct((16, 16), angles=5, noise=0.1)
    x = torch.from_numpy(PHOTO[:16, :16, 0] / 255).float()[None, None]
    y = op.A(x)
    axes = proxlab.restore(y, op, "tv", steps=3).plot(y, x)
    assert axes[0, 0].get_title().startswith("measured, white is ")
    assert axes[0, 0].images[0].get_array().shape == tuple(y.shape[2:])


def test_a_posterior_is_told_and_shown(post):
    first, second = repr(post).split("\n")
    assert first == "Posterior of 4 samples [1, 1, 24, 24], 2 levels from 0.191 to 0.0294"
    assert second.endswith(f"deviation {float(post.std.mean()):.3g}; no doubts")
    page = Page(post._repr_html_())
    assert len(page.pictures) == 4  # mean, deviation, two samples
    mean = (255 * post.mean[0, 0].clamp(0, 1)).round().numpy()
    assert np.abs(page.pictures[0].astype(float) - mean).max() <= 1
    axes = post.plot()
    assert [ax.get_title() for ax in axes[0]] == ["mean", "deviation", "sample 1", "sample 2"]
    assert np.allclose(axes[0, 3].images[0].get_array(), post.samples[1, 0, 0])
    axes[0, 0].figure.canvas.draw()


def test_a_posterior_of_one_or_of_no_samples_is_told_too(post):
    one = replace(post, samples=post.samples[:1], levels=(0.1,), doubts=("first", "second"))
    assert repr(one).startswith("Posterior of 1 sample [1, 1, 24, 24], 1 level from 0.1\n")
    assert repr(one).endswith("; first; second") and one.plot().shape == (1, 2)
    none = replace(post, samples=torch.empty(0))
    assert "of 0 samples" in repr(none) and Page(none._repr_html_()).pictures == []


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_samples_of_an_array_are_shown_as_those_of_a_tensor(post, dtype):
    arrays = replace(post, samples=post.samples[:, 0, 0].numpy())
    shown, expected = Page(arrays._repr_html_()), Page(post._repr_html_())
    for a, b in zip(shown.pictures, expected.pictures, strict=True):
        assert np.array_equal(a, b)
