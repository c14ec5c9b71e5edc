"""LPIPS where its weights lie, nothing where they do not; and never a download."""

import json
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from skimage.data import camera
from torch import nn

from proxlab.comparison.case import PriorSettings
from proxlab.comparison.comparing import compare
from proxlab.comparison.plan import Plan
from proxlab.comparison.report import report
from proxlab.comparison.table import latex, markdown
from proxlab.images import perceptual

X = torch.from_numpy(camera()[100:164, 200:272]).float()[None, None] / 255
FEW = Plan(default=PriorSettings(steps=3))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of weights, and no network."""

    def refused(*args, **words):
        raise AssertionError("a download")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    perceptual._metric.cache_clear()
    yield tmp_path / "hub" / "checkpoints"
    perceptual._metric.cache_clear()


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    Image.fromarray(camera()[100:140, 200:248]).save(folder / "a.png")
    return folder


def page_of(rows, out):
    text = report(rows, out).split('id="data">')[1].split("</script>")[0]
    return json.loads(text)


def test_without_weights_there_is_no_such_column_and_no_download(cache, photographs, tmp_path):
    assert perceptual.lpips(X, X) is None
    out = tmp_path / "out"
    rows = compare(["none", "tv"], ["deblur"], photographs, out, FEW)
    lines = (out / "results.jsonl").read_text().splitlines()
    assert len(lines) == 2 and all('"lpips": null' in line for line in lines)
    assert "LPIPS" not in markdown(rows)
    assert page_of(rows, out)["table"][0]["cells"][0]["lpips"] is None
    old = [{k: v for k, v in row.items() if k != "lpips"} for row in rows]
    assert markdown(old) == markdown(rows)


def test_a_value_reaches_row_table_and_page(photographs, tmp_path, monkeypatch):
    monkeypatch.setattr("proxlab.comparison.case.lpips", lambda x, truth: torch.tensor([0.1234]))
    out = tmp_path / "out"
    rows = compare(["none", "tv"], ["deblur"], photographs, out, FEW)
    assert [row["lpips"] for row in rows] == [pytest.approx(0.1234)] * 2
    assert markdown(rows).count(f"{rows[0]['ssim']:.3f} / 0.123 |") == 1
    assert "/ SSIM / LPIPS (lower is better)" in markdown(rows)
    assert latex(rows).count(" / 0.123") == 2
    page = page_of(rows, out)
    assert page["table"][1]["cells"][0]["lpips"] == pytest.approx(0.1234)
    assert "LPIPS 0.123, 3 steps" in page["measurements"][0]["versions"][2]["said"]
    rows[1]["lpips"] = None  # a mean over some of the images would be compared with one over all
    assert "LPIPS" not in markdown(rows)


def alexnet(weights):
    """The part of torchvision's AlexNet that LPIPS takes, without layers for classes, at random."""
    assert weights is not None
    torch.manual_seed(0)
    relu, pool, conv = nn.ReLU, partial(nn.MaxPool2d, 3, 2), partial(nn.Conv2d, padding=1)
    first = [nn.Conv2d(3, 64, 11, 4, 2), relu(), pool(), nn.Conv2d(64, 192, 5, 1, 2), relu()]
    then = [pool(), conv(192, 384, 3), relu(), conv(384, 256, 3), relu(), conv(256, 256, 3), relu()]
    return SimpleNamespace(features=nn.Sequential(*first, *then))


def test_with_weights_it_is_a_distance_of_each_image(cache, monkeypatch):
    """The features are random, which gives a distance too; torchvision's are not at hand here."""
    perceptual.weights_path().touch()
    monkeypatch.setattr("torchvision.models.alexnet", alexnet)
    noise = torch.randn(X.shape, generator=torch.Generator().manual_seed(0))
    batch = torch.cat([X, X + 0.02 * noise, X + 0.3 * noise])
    same, little, much = perceptual.lpips(batch, X.repeat(3, 1, 1, 1)).tolist()
    assert same == 0 < little < much
    colour = perceptual.lpips(batch.repeat(1, 3, 1, 1), X.repeat(3, 3, 1, 1))
    assert colour.tolist() == pytest.approx([same, little, much])
    assert float(perceptual.lpips(X + 2, X)) == float(perceptual.lpips(X * 0 + 1, X))  # clipped
    assert perceptual.lpips(X[..., :31], X[..., :31]) is None


def test_spoilt_weights_are_a_sentence(cache):
    perceptual.weights_path().write_bytes(b"no weights")
    said = "does not hold torchvision's AlexNet; .* remove it"
    # on no device, since what is built before the file is read is large
    with torch.device("meta"), pytest.raises(ValueError, match=said):
        perceptual.lpips(X, X)
