"""LPIPS where it is asked for and its weights lie; and never a download."""

import hashlib
import json
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from skimage.data import camera
from torch import nn

from proxlab.commands.main import main
from proxlab.comparison import comparing
from proxlab.comparison.case import PriorSettings
from proxlab.comparison.comparing import compare
from proxlab.comparison.plan import ComparisonRun, Plan
from proxlab.comparison.report import report
from proxlab.comparison.rows import ROWS, read_rows
from proxlab.comparison.table import latex, markdown
from proxlab.images.perceptual import Lpips, has_lpips

X = torch.from_numpy(camera()[100:164, 200:272]).float()[None, None] / 255
FEW = Plan(default=PriorSettings(steps=3))
JUDGED = Plan(default=PriorSettings(steps=3), lpips=True)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of weights, and no network."""

    def refused(*args, **words):
        raise AssertionError("a download")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


class Judge:
    """As `Lpips`, with a value of its own."""

    def __init__(self, value=0.1234):
        self.value = value

    def __call__(self, x, truth):
        return torch.tensor([self.value])


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    Image.fromarray(camera()[100:140, 200:248]).save(folder / "a.png")
    return folder


def page_of(rows, out):
    text = report(rows, out).split('id="data">')[1].split("</script>")[0]
    return json.loads(text)


def test_unless_asked_for_nothing_looks_for_weights(cache, photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(comparing, "_judge", lambda: pytest.fail("it looked for weights"))
    out = tmp_path / "out"
    rows = compare(["none", "tv"], ["deblur"], photographs, out, FEW)
    lines = (out / "results.jsonl").read_text().splitlines()
    assert len(lines) == 2 and all('"lpips": null' in line for line in lines)
    assert "LPIPS" not in markdown(rows)
    assert page_of(rows, out)["table"][0]["cells"][0]["lpips"] is None
    old = [{k: v for k, v in row.items() if k != "lpips"} for row in rows]
    assert markdown(old) == markdown(rows)


def test_asked_for_without_weights_it_is_refused_before_the_work(
    cache, photographs, tmp_path, capsys
):
    said = f"put https://download.pytorch.org/models/alexnet-owt-7be5be79.pth into {cache}, or do"
    with pytest.raises(ValueError, match=said):
        compare(["none"], ["deblur"], photographs, tmp_path / "out", JUDGED)
    words = f"compare --priors none --problems deblur --images {photographs} --lpips --out"
    assert main([*words.split(), str(tmp_path / "out")]) == 1
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_value_reaches_row_table_and_page(photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(comparing, "_judge", Judge)
    out = tmp_path / "out"
    rows = compare(["none", "tv"], ["deblur"], photographs, out, JUDGED)
    assert [row["lpips"] for row in rows] == [pytest.approx(0.1234)] * 2
    assert markdown(rows).count(f"{rows[0]['ssim']:.3f} / 0.123 |") == 1
    assert "/ SSIM / LPIPS (lower is better)" in markdown(rows)
    assert latex(rows).count(" / 0.123") == 2
    page = page_of(rows, out)
    assert page["table"][1]["cells"][0]["lpips"] == pytest.approx(0.1234)
    assert "LPIPS 0.123, 3 steps" in page["measurements"][0]["versions"][3]["said"]
    rows[1]["lpips"] = None  # a mean over some of the images would be compared with one over all
    assert "1 of 2 restorations have an LPIPS; a column needs all" in markdown(rows)
    assert "0.123" not in markdown(rows)


def test_resumed_with_lpips_what_has_none_is_run_again_but_for_small_images(
    photographs, tmp_path, monkeypatch
):
    Image.fromarray(camera()[100:131, 200:248]).save(photographs / "small.png")
    out, new = tmp_path / "out", []
    monkeypatch.setattr(comparing, "_judge", Judge)
    compare(["none"], ["deblur"], photographs, out, FEW)
    for again in (1, 0):
        run = ComparisonRun(resume=True, watch=new.append)
        rows = compare(["none"], ["deblur"], photographs, out, JUDGED, run)
        assert [row["image"] for row in new] == ["a.png"] * again
        new.clear()
    assert [row["lpips"] for row in rows] == [pytest.approx(0.1234), None]
    assert len(read_rows(out / ROWS)) == 3


def alexnet(weights):
    """The part of torchvision's AlexNet that LPIPS takes, without layers for classes, at random."""
    assert weights is None  # else it opens a file of torch's cache by itself
    torch.manual_seed(0)
    relu, pool, conv = nn.ReLU, partial(nn.MaxPool2d, 3, 2), partial(nn.Conv2d, padding=1)
    first = [nn.Conv2d(3, 64, 11, 4, 2), relu(), pool(), nn.Conv2d(64, 192, 5, 1, 2), relu()]
    then = [pool(), conv(192, 384, 3), relu(), conv(384, 256, 3), relu(), conv(256, 256, 3), relu()]
    return SimpleNamespace(features=nn.Sequential(*first, *then))


@pytest.fixture
def weights(monkeypatch):
    """Weights of AlexNet as torchvision names them, at random but not those it is built with."""
    state = nn.ModuleDict({"features": alexnet(None).features}).state_dict()
    monkeypatch.setattr("torchvision.models.alexnet", alexnet)
    return {name: 1.1 * x for name, x in state.items()}


def test_with_weights_it_is_a_distance_of_each_image(weights):
    """The features are random, which gives a distance too; torchvision's are not at hand here."""
    judge = Lpips(weights)
    noise = torch.randn(X.shape, generator=torch.Generator().manual_seed(0))
    batch, truth = torch.cat([X, X + 0.02 * noise, X + 0.3 * noise]), X.repeat(3, 1, 1, 1)
    same, little, much = judge(batch, truth).tolist()
    assert same == 0 < little < much
    colour = judge(batch.repeat(1, 3, 1, 1), X.repeat(3, 3, 1, 1))
    assert colour.tolist() == pytest.approx([same, little, much])
    assert float(judge(X + 2, X)) == float(judge(X * 0 + 1, X))  # clipped
    assert has_lpips(X) and not has_lpips(X[..., :31])
    with pytest.raises(ValueError, match=r"at least 32 x 32 pixels .*, got \[1, 1, 64, 31\]"):
        judge(X[..., :31], X[..., :31])
    plain = Lpips({name: x / 1.1 for name, x in weights.items()})
    assert float(plain(batch, truth)[2]) != much  # the weights that are handed in are those used


def test_weights_of_the_cache_are_those_it_is_made_of(weights, cache, monkeypatch):
    torch.save(weights, comparing.ALEXNET.path)
    digest = hashlib.sha256(comparing.ALEXNET.path.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match="known here have 7be5be791159472b1fbf.*fetch it again"):
        comparing._judge()
    known = type(comparing.ALEXNET)("AlexNet", comparing.ALEXNET.file, digest)
    monkeypatch.setattr(comparing, "ALEXNET", known)
    assert float(comparing._judge()(X, 1 - X)) == float(Lpips(weights)(X, 1 - X)) > 0


def test_the_known_file_is_that_of_torchvision():
    from torchvision.models import AlexNet_Weights

    assert AlexNet_Weights.DEFAULT.url.endswith("/" + comparing.ALEXNET.file)
    assert comparing.ALEXNET.file.removesuffix(".pth").endswith(comparing.ALEXNET.sha256[:8])


def test_weights_of_another_network_are_a_sentence(weights):
    wrong = weights | {"features.0.weight": torch.ones(2)}
    for spoilt in ({}, wrong):
        with pytest.raises(ValueError, match="not the weights of torchvision's AlexNet"):
            Lpips(spoilt)
