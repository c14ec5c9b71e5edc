"""Weights of others: known by their sha256 or refused, and no code in a file is ever run."""

import collections
import hashlib
import io
import json
import os
import pickle
import sys
import types
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage.data import camera

import proxlab
from proxlab.commands.main import main
from proxlab.comparison.comparing import compare
from proxlab.comparison.plan import Plan
from proxlab.diffusion import inception
from proxlab.foreign_weights import Weights
from proxlab.images import operator_files, reading
from proxlab.priors.deepinv_denoisers import PRETRAINED
from proxlab.training import state


class Trap:
    """Unpickled, it writes a file: the sign that code in a file was run."""

    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


def trapped_pickle():
    return pickle.dumps(Trap())


def trapped_archive():
    """A file of torch with weights in it, as a network's, and a trap beside them."""
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(2), "more": Trap()}, file)
    return file.getvalue()


TRAPS = {"pickle": trapped_pickle, "archive": trapped_archive}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of torch, in the working folder; no network."""

    def refused(*args, **words):
        raise OSError("no network here")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refused)
    monkeypatch.setattr(inception, "find_spec", lambda name: name)
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    Path("photographs").mkdir()
    Image.fromarray(camera()[100:140, 200:248]).save("photographs/a.png")
    return tmp_path / "hub" / "checkpoints"


def everywhere(content, cache):
    """The same file at each place of torch's cache that anything here looks at."""
    named = [file for row in PRETRAINED.values() for file, _ in row.files.values()]
    for name in [*named, *inception.NAMES, "alexnet-owt-7be5be79.pth"]:
        (cache / name).write_bytes(content)


IMAGES = torch.rand(4, 1, 40, 40)
NETWORKS = [f"deepinv:{kind}{color}" for kind in PRETRAINED for color in ("", "-color")]
DOORS = {name: lambda name=name: proxlab.load(name) for name in NETWORKS} | {
    "FID": lambda: inception.inception_distance(IMAGES, IMAGES),
    "LPIPS": lambda: compare(["none"], ["deblur"], "photographs", "out", Plan(lpips=True)),
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("door", DOORS)
def test_a_trap_in_the_cache_is_refused_unopened(door, trap, cache, monkeypatch):
    everywhere(TRAPS[trap](), cache)
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("the file was opened"))
    with pytest.raises(ValueError, match="let in by their sha256: "):
        DOORS[door]()
    assert not Path("sprung").exists()


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_that_was_allowed_is_not_run_either(trap, cache):
    content = TRAPS[trap]()
    everywhere(content, cache)
    for name in NETWORKS:
        with pytest.raises(ValueError, match="holds more than weights"):
            proxlab.load(name, sha256=hashlib.sha256(content).hexdigest())
    assert not Path("sprung").exists()


@pytest.mark.parametrize("trap", TRAPS)
def test_our_own_files_run_nothing(trap, cache):
    content = TRAPS[trap]()
    for name in ("m.safetensors", "state.pt", "a.npy", "a.npz", "a.tif", "a.dcm", "a.png"):
        Path(name).write_bytes(content)
    card = proxlab.models()["lpn-gray-small"] | {"sha256": hashlib.sha256(content).hexdigest()}
    Path("m.json").write_text(json.dumps(card))
    for opened in (
        lambda: proxlab.load("m.safetensors"),
        lambda: proxlab.checkpoints.load_diffusion("m.safetensors"),
        lambda: proxlab.checkpoints.load_classifier("m.safetensors"),
        lambda: state._read(Path("state.pt")),
        lambda: operator_files.read_kernel("a.npy"),
        lambda: operator_files.read_kernel("a.npz"),
        *(lambda name=name: reading.read_image(name) for name in ("a.npy", "a.tif", "a.dcm")),
        lambda: reading.read_image("a.png"),
    ):
        with pytest.raises(ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened()
    assert not Path("sprung").exists()


def test_the_traps_would_go_off_when_opened_the_usual_way(cache):
    """Else the tests above would pass whatever is done with the files."""
    for trap, opened in (
        (trapped_pickle, pickle.loads),
        (trapped_archive, lambda b: torch.load(io.BytesIO(b), weights_only=False)),
    ):
        Path("sprung").unlink(missing_ok=True)
        opened(trap())
        assert Path("sprung").exists()


def test_a_file_changed_after_the_check_is_not_what_is_read(cache, monkeypatch):
    good, path = io.BytesIO(), cache / "w.pth"
    torch.save({"weight": torch.ones(2)}, good)
    path.write_bytes(good.getvalue())
    weights = Weights("deepinv:W", "w.pth", hashlib.sha256(good.getvalue()).hexdigest())
    whole = hashlib.sha256

    def exchanged(content):
        path.write_bytes(trapped_archive())
        return whole(content)

    monkeypatch.setattr(hashlib, "sha256", exchanged)
    assert torch.equal(weights.read()["weight"], torch.ones(2)) and not Path("sprung").exists()


def test_an_unknown_network_is_allowed_by_its_sha256_in_python_and_on_the_command_line(
    cache, capsys
):
    path, network = cache / PRETRAINED["FFDNet"].files[1][0], PRETRAINED["FFDNet"].build(1)
    torch.save(network.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    said = f"none is known here, {path} has {digest}; if you trust it, allow it by --allow-weights"
    with pytest.raises(ValueError, match=f"{said} {digest}, in Python by proxlab.load"):
        proxlab.load("deepinv:FFDNet")
    prior = proxlab.load("deepinv:FFDNet", sha256=digest.upper())
    with torch.no_grad():
        assert torch.allclose(prior.prox(IMAGES, 0.1), network.eval()(IMAGES, 0.1), atol=1e-6)
    blur = "deblur --blur-sigma 1 --noise 0.1 --steps 2 --device cpu --prior deepinv:FFDNet"
    words = [*f"restore photographs/a.png {blur}".split()]
    assert main(words) == 1 and digest in capsys.readouterr().err
    assert main([*words, "--allow-weights", f"{'0' * 64},{digest}"]) == 0
    words = "compare --priors deepinv:FFDNet --problems deblur --images photographs --out out"
    assert main([*words.split(), "--steps", "2"]) == 1
    assert main([*words.split(), "--steps", "2", "--allow-weights", digest]) == 0


def test_what_is_not_known_is_not_fetched(cache):
    with pytest.raises(ValueError, match="64 hexadecimal digits, got 'abc'"):
        proxlab.load("deepinv:DnCNN", sha256="abc")
    with pytest.raises(ValueError, match="sha256 is not known here; put https.*ffdnet_gray.pth"):
        proxlab.load("deepinv:FFDNet")
    for name, digest in (("deepinv:DnCNN", ()), ("deepinv:FFDNet", "0" * 64)):
        with pytest.raises(ValueError, match="cannot be fetched; put https.*no network here"):
            proxlab.load(name, sha256=digest)


def test_no_file_of_another_kind_is_read(cache, monkeypatch):
    weights = Weights("deepinv:W", "w.pth", "0" * 64)
    with pytest.raises(ValueError, match="are not at .*w.pth; put the file there"):
        weights.read()
    if os.name == "posix":
        os.mkfifo(cache / "w.pth")  # which would be waited for
        with pytest.raises(ValueError, match="put the file there"):
            weights.read()
        (cache / "w.pth").unlink()
    monkeypatch.setattr("proxlab.foreign_weights.LARGEST", 2**20)
    (cache / "w.pth").write_bytes(b"0" * (2**20 + 1))
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        weights.read()
    for content in ([torch.ones(2)], {"a": 3}, torch.ones(2), {}):
        torch.save(content, cache / "w.pth")
        digest = hashlib.sha256((cache / "w.pth").read_bytes()).hexdigest()
        if content == {}:
            assert weights.read([digest]) == {}
            continue
        with pytest.raises(ValueError, match="holds more than weights"):
            weights.read([digest])


def test_the_network_of_fid_is_handed_on_as_a_file_of_our_own(cache, monkeypatch):
    """torch-fidelity opens a path by itself; what it opens holds the tensors and nothing else."""
    good = io.BytesIO()
    torch.save(collections.OrderedDict(weight=torch.ones(2)), good)
    everywhere(good.getvalue(), cache)
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(good.getvalue()).hexdigest())
    opened = []

    class Distance:
        def __init__(self, feature_extractor_weights_path):
            opened.append(
                (feature_extractor_weights_path, torch.load(feature_extractor_weights_path))
            )

        def to(self, device):
            return self

        def update(self, images, real):
            pass

        def compute(self):
            return torch.tensor(7.0)

    module = types.ModuleType("torchmetrics.image.fid")
    monkeypatch.setattr(module, "FrechetInceptionDistance", Distance, raising=False)
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", module)
    assert inception.inception_distance(IMAGES, IMAGES) == 7
    ((path, state),) = opened
    assert Path(path).parent != cache and torch.equal(state["weight"], torch.ones(2))
