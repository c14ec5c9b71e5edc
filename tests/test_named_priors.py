"""Names of the commands lead to priors, or to a sentence that says what is missing. No network."""

import hashlib
import importlib.util
import socket
import urllib.error
from pathlib import Path

import deepinv
import pytest
import torch
from deepinv.models import DnCNN, DRUNet, FFDNet
from PIL import Image
from skimage.data import camera

import proxlab
from proxlab.commands.main import main
from proxlab.comparison.case import PriorSettings
from proxlab.comparison.comparing import compare
from proxlab.comparison.plan import Plan
from proxlab.named_priors import named_prior
from proxlab.priors.contract import LEARNED_WEIGHT
from proxlab.priors.deepinv_denoisers import PRETRAINED, Channels, pretrained

PIXELS = camera()[96:136, 200:248]
CLEAN = torch.from_numpy(PIXELS).float()[None, None] / 255
MODULE = """
class Half:
    def prox(self, v, sigma):
        return v * 0 + 0.5

half = Half()
number = 7

def make(): return Half()
def needy(weight): return Half()
def fails(): raise RuntimeError("out of order")
def nothing(): return None
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of weights, and no network."""

    def refused(*args, **words):
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
    monkeypatch.setattr(socket, "create_connection", refused)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder, with a module under a name of its own and a photograph."""
    monkeypatch.chdir(tmp_path)
    module = f"own_{tmp_path.name.replace('-', '_')}"
    Path(f"{module}.py").write_text(MODULE)
    Path("photographs").mkdir()
    Image.fromarray(PIXELS).save("photographs/a.png")
    return module


def stored(network, cache, channels=1):
    """sha256 of the file of the network, as that of DnCNN in the cache."""
    path = cache / PRETRAINED["DnCNN"].files[channels][0]
    torch.save(network.state_dict(), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("channels", [1, 3])
def test_weights_in_the_cache_are_found(cache, channels):
    torch.manual_seed(channels)
    network = DnCNN(channels, channels, pretrained=None)
    known = stored(network, cache, channels)
    prior = named_prior("deepinv:DnCNN" + "-color" * (channels == 3), [known])
    x = torch.rand(2, 3, 20, 22)
    each = torch.cat([network.eval()(x[:, c : c + channels]) for c in range(0, 3, channels)], 1)
    assert torch.allclose(prior.prox(x, 2 / 255), each, atol=1e-6)
    assert prior.capabilities.default_weight == LEARNED_WEIGHT
    assert not any(p.requires_grad for p in prior.parameters()) and not prior.denoiser.training
    if channels == 3:
        with pytest.raises(ValueError, match=r"deepinv:DnCNN-color knows colour images"):
            prior.prox(CLEAN, 2 / 255)


def test_a_network_of_one_level_restores(cache):
    network = DnCNN(1, 1, pretrained=None)
    network.load_state_dict({k: 0.3 * p for k, p in network.state_dict().items()})
    known = stored(network, cache)
    op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.0), noise=0.02)
    result = proxlab.restore(op(CLEAN), op, named_prior("deepinv:DnCNN", [known]), steps=30)
    assert result.sigma == 2 / 255 and result.trace.objective is None
    assert result.evidence[0].value_margin is None and result.evidence[0].evaluations == 6


def test_levels_of_a_batch_reach_every_channel():
    network = DRUNet(1, 1, nc=(4, 4, 4, 4), nb=1, pretrained=None).eval()
    x, levels = torch.rand(2, 3, 32, 40), torch.tensor([0.05, 0.2])
    found = Channels(network, "own", 1)(x, levels)
    for i in range(2):
        alone = network(x[i, 1][None, None], float(levels[i]))
        assert torch.allclose(found[i, 1], alone[0, 0], atol=1e-5)


DOWNLOADED = {
    "DRUNet": lambda c: DRUNet(c, c, pretrained="download"),
    "GSDRUNet": lambda c: deepinv.models.GSDRUNet(
        in_channels=c, out_channels=c, pretrained="download"
    ),
    "FFDNet": lambda c: FFDNet(
        n_conv_layers=12 if c == 3 else 15, nf=96 if c == 3 else 64, img_channels=c
    ),
    "DnCNN": lambda c: DnCNN(c, c, pretrained="download"),
}
"""How deepinv's users have them."""


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", PRETRAINED)
def test_files_are_those_that_deepinv_asks_for(kind, channels, monkeypatch):
    asked = []

    def load(url, file_name, **words):
        asked.append((file_name, url.removesuffix("?download=true")))
        raise deepinv.utils.DownloadError("none here")

    for module in ("drunet", "GSPnP", "ffdnet", "dncnn"):
        monkeypatch.setattr(f"deepinv.models.{module}.load_state_dict_from_url", load)
    if kind == "GSDRUNet":  # not built, and the others on no device: they are large
        monkeypatch.setattr("deepinv.models.drunet.DRUNet", lambda **words: torch.nn.Identity())
    with torch.device("meta"), pytest.raises(deepinv.utils.DownloadError):
        DOWNLOADED[kind](channels)
    ours = PRETRAINED[kind]
    assert asked == [(ours.files[channels][0], ours.address(channels))]
    assert ours.weights(kind, channels).file == ours.files[channels][0]


def test_a_gradient_step_leaves_its_input_alone():
    """deepinv's sets requires_grad on what it is handed."""
    step = deepinv.models.GSDRUNet(in_channels=1, out_channels=1, nc=(4, 4, 4, 4), nb=1)
    x = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        found = Channels(step.requires_grad_(False), "own", 1)(x, 0.1)
    assert not x.requires_grad and not found.requires_grad and found.isfinite().all()


def test_weights_that_cannot_be_had_are_a_sentence(cache, here, capsys):
    where = cache / "dncnn_sigma2_gray.pth"
    words = "restore photographs/a.png deblur --blur-sigma 1 --noise 0.1 --prior deepinv:DnCNN"
    assert main([*words.split(), "--device", "cpu"]) == 1
    said = capsys.readouterr().err
    assert f"weights of deepinv:DnCNN are not at {where} and cannot be fetched; put https" in said
    assert "no network here" in said and said.count("\n") == 1
    for spoilt in (b"", b"no weights"):
        where.write_bytes(spoilt)
        with pytest.raises(ValueError, match="let in by their sha256: .*; remove it"):
            pretrained("DnCNN")
    another = stored(DnCNN(1, 1, depth=3, nf=4, pretrained=None), cache)
    with pytest.raises(ValueError, match="does not hold the weights .*; remove it"):
        pretrained("DnCNN", [another])


@pytest.mark.parametrize("attribute", ["half", "make", "Half"])
def test_a_module_of_ones_own(here, attribute):
    assert float(named_prior(f"{here}:{attribute}").prox(CLEAN, 0.1).mean()) == 0.5


def test_both_commands_take_them(here, capsys):
    words = f"compare --priors wavelets,{here}:make --problems deblur --images photographs"
    assert main(f"{words} --steps 3 --out out --device cpu".split()) == 0
    assert f"| `{here}:make` |" in capsys.readouterr().out
    assert list(Path("out").rglob(f"{here}-make-*-default.png"))  # no colon in a file's name
    words = f"restore photographs/a.png deblur --blur-sigma 1 --noise 0.1 --prior {here}:half"
    assert main(f"{words} --steps 3 --out new.npy --device cpu".split()) == 0


@pytest.mark.parametrize(
    "rest, said",
    [
        (":absent", "AttributeError: .*no attribute 'absent'"),
        (":number", "TypeError: 'int' object is not callable"),
        (":needy", "TypeError: .*missing 1 required .* 'weight'; it is MODULE:ATTRIBUTE"),
        (":fails", "RuntimeError: out of order"),
        (":nothing", "is a NoneType; a prior has a method"),
        ("_absent:make", "ModuleNotFoundError: .*; it is MODULE:ATTRIBUTE of a module in the"),
        (":", "no prior came of "),
    ],
)
def test_what_is_no_prior_is_refused(here, rest, said):
    with pytest.raises(ValueError, match=said):
        named_prior(here + rest)


@pytest.mark.parametrize(
    "name, said",
    [
        ("deepinv:SwinIR", "as 'SwinIR'; known are DRUNet, GSDRUNet, FFDNet, DnCNN, each"),
        (
            "lpn-grey",
            "known are tv, wavelets, none, .*safetensors file, bm3d, deepinv:NAME; the com",
        ),
        ("own/lpn.safetensors", "own/lpn.safetensors is missing"),
        (":make", "no prior came of :make, ValueError: Empty module name"),
    ],
)
def test_unknown_names_are_refused(name, said):
    with pytest.raises(ValueError, match=said):
        named_prior(name)


def test_a_model_file_is_a_prior_of_its_name(here, tmp_path):
    own = tmp_path / "own.safetensors"
    proxlab.checkpoints.save(own, proxlab.load("lpn-gray-small"), {})
    few = Plan(default=PriorSettings(steps=3))
    rows = compare([str(own), "lpn-gray-small"], ["deblur"], "photographs", "out", few)
    assert [row["prior"] for row in rows] == ["own", "lpn-gray-small"]
    assert rows[0]["psnr"] == rows[1]["psnr"]


THERE = importlib.util.find_spec("bm3d") is not None


@pytest.mark.skipif(THERE, reason="bm3d is installed")
def test_without_its_package_bm3d_says_what_to_install(here, capsys):
    words = "compare --priors bm3d --problems deblur --images photographs --out out"
    assert main(words.split()) == 1
    assert "free for non-commercial use alone; install it with pip" in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.skipif(not THERE, reason="the package bm3d, an extra, is not installed")
def test_bm3d_denoises_and_survives_a_comparison(here):
    noisy = CLEAN + 0.1 * torch.randn(CLEAN.shape, generator=torch.Generator().manual_seed(0))
    found = named_prior("bm3d").prox(torch.cat([noisy, noisy.flip(3)]), 0.1)
    psnr = proxlab.metrics.psnr
    assert float(psnr(found[:1], CLEAN)) > float(psnr(noisy, CLEAN)) + 4
    few = Plan(default=PriorSettings(steps=2))
    rows = compare(["bm3d"], ["deblur"], "photographs", "out", few)
    assert rows[0]["psnr"] > rows[0]["psnr_plain"] - 3 and not rows[0]["certified"]
