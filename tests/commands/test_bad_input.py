"""Bad input at the command line: one sentence that names fault, value and remedy; exit 1; no trace.

What tests/restoration/test_restoration.py asks of the command is not asked again.
"""

import json
import os
import pickle
import re
import shutil
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import camera

from proxlab import checkpoints
from proxlab.commands import restore
from proxlab.commands.main import main
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN

PIXELS = camera()[96:128, 200:236]
FAST = "--noise 0.01 --steps 2 --prior none --quiet --device cpu"
BLUR = f"deblur --blur-sigma 0.5 {FAST}"


class Trap:
    """Unpickled, it makes a folder: the sign that code in a file was run."""

    def __reduce__(self):
        return os.mkdir, ("sprung",)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder, full of good and bad input."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROXLAB_DATA", raising=False)
    for folder in ("empty", "photos", "run"):
        Path(folder).mkdir()
    Path("file").write_text("no folder")
    Path("old.png").write_text("old")
    rgb = np.stack([PIXELS] * 3, 2) // np.array([1, 2, 3], np.uint8)
    Image.fromarray(PIXELS).save("photo.png")
    Image.fromarray(PIXELS.astype(np.uint16) * 257).save("deep.png")
    Image.fromarray(rgb).quantize(16).save("palette.png")
    for name, alpha in (("opaque.png", 255), ("alpha.png", 254)):
        Image.fromarray(np.dstack([rgb, np.full_like(PIXELS, alpha)])).save(name)
    Path("cut.png").write_bytes(Path("photo.png").read_bytes()[:400])
    Image.fromarray(camera()[:128, :128]).save("photos/a.png")
    Image.fromarray(camera()[:128, 128:256]).save("photos/b.png")
    spoilt = PIXELS / 255
    np.save("bytes.npy", spoilt * 255)
    spoilt[3, 4] = np.nan
    np.save("nan.npy", spoilt)
    np.save("inf.npy", np.nan_to_num(spoilt, nan=np.inf))
    np.save("kernel.npy", np.ones((3, 3)) / 9)
    np.save("heavy.npy", np.ones((3, 3)) / 5)
    np.save("even.npy", np.ones((4, 4)) / 16)
    np.save("big.npy", np.ones((33, 3)) / 99)
    np.save("mask.npy", np.eye(20))
    model = LPN(MixturePotential(MixtureConfig(2, 2, context=1)))
    for name in ("good", "corrupt", "shorter"):
        checkpoints.save(name, model, {})
    shutil.copy("good.safetensors", "renamed.safetensors")
    weights = bytearray(Path("corrupt.safetensors").read_bytes())
    weights[-1] ^= 1
    Path("corrupt.safetensors").write_bytes(weights)
    Path("shorter.safetensors").write_bytes(weights[:1000])
    trap = pickle.dumps(Trap())
    for name in ("trap.pt", "trap.safetensors", "run/state.pt"):
        Path(name).write_bytes(trap)
    card = json.loads(Path("good.json").read_text()) | {"sha256": sha256(trap).hexdigest()}
    Path("trap.json").write_text(json.dumps(card))
    return tmp_path


def contents(folder):
    """Every file and folder below, hidden ones too, with what is in it."""
    return {p: p.read_bytes() if p.is_file() else None for p in Path(folder).rglob("*")}


def refuse(words, capsys):
    """Run the command, which must fail as a command should; the sentence that it says."""
    before = contents(".")
    assert main(words.split()) == 1
    said = capsys.readouterr()
    assert said.out == "" and re.fullmatch(r"proxlab: [^\n]+\n", said.err)
    assert contents(".") == before
    return said.err


BAD = [
    (f"photo.png deblur --kernel heavy.npy {FAST}", r"kernel sums to 1\.8; .*--normalize"),
    (f"photo.png deblur --kernel even.npy {FAST}", r"even-sized kernel .* 4 x 4; pad it"),
    (f"photo.png deblur --kernel big.npy {FAST}", r"33 x 3, larger .*image, 32 x 36; crop"),
    (f"photo.png deblur --blur-sigma 0 {FAST}", r"0 < sigma <= 100, got 0\.0"),
    ("photo.png deblur --blur-sigma 1 --noise nan", r"0 <= noise <= 1, got nan"),
    (f"photo.png {BLUR} --seed -1", r"--seed is a whole number from 0 .*got -1"),
    (f"photo.png {BLUR} --seed {10**30}", r"--seed is a whole number from 0 .*got 10{30}"),
    (f"photo.png inpaint --mask mask.npy {FAST}", r"\[1, 20, 20\], .*\[1, 32, 36\]; make"),
    (f"photo.png inpaint --box 0,0,40,4 {FAST}", r"\(0, 0, 40, 4\) is not inside 32 x 36"),
    (f"nan.npy {BLUR}", r"nan\.npy holds 1 values NaN or infinite; replace"),
    (f"inf.npy {BLUR} --simulate", r"inf\.npy holds 1 values NaN or infinite; replace"),
    (f"bytes.npy {BLUR}", r"bytes\.npy holds values from .* expected \[0, 1\] .*255\?"),
    (f"alpha.png {BLUR}", r"alpha\.png has an alpha channel .*; flatten it first"),
    (f"cut.png {BLUR}", r"cut\.png cannot be decoded, .*cut short .*; copy it again"),
    (f"empty {BLUR}", r"empty holds no image; looked for \.png"),
    (f"photo.png {BLUR} --prior trap.pt", r"trap\.pt may be a pickle.*; give a \.safet"),
    (f"photo.png {BLUR} --prior trap.safetensors", r"trap\.safetensors is not a safetensors file"),
    (f"photo.png {BLUR} --prior renamed.safetensors", r"renamed\.json is missing"),
    (f"photo.png {BLUR} --prior corrupt.safetensors", r"sha256 in corrupt\.json; .*fetch"),
    (f"photo.png {BLUR} --prior shorter.safetensors", r"sha256 in shorter\.json; .*fetch"),
    (f"photo.png {BLUR} --out old.png", r"old\.png exists already; .*--overwrite"),
    (f"photo.png {BLUR} --trace old.png", r"old\.png exists already; .*--overwrite"),
    (f"photo.png {BLUR} --out new.png --trace new.png", r"both to be new\.png; choose another"),
    (f"photo.png {BLUR} --out file/new.png", r"file/new\.png: there is no folder .*; create"),
    (f"photo.png {BLUR} --trace empty --overwrite", r"empty: it is a folder; name a file in"),
    (f"deep.png {BLUR} --out new.jpg", r"deep\.png has 16 bits and \.jpg only 8; use"),
]


@pytest.mark.parametrize("words, sentence", BAD, ids=[sentence for _, sentence in BAD])
def test_restore_refuses_in_a_sentence(here, words, sentence, capsys):
    assert re.search(sentence, refuse(f"restore {words}", capsys))


TRAIN = "train lpn-gray --quiet --device cpu --steps 1 --out new"
BY_MINUTES = "train lpn-gray --quiet --device cpu --out new --data photos --minutes"


@pytest.mark.parametrize(
    "words, sentence",
    [
        (f"{TRAIN} --data empty", r"empty holds no image; looked for \.png"),
        (f"{TRAIN} --data nowhere", r"nowhere does not exist; give a folder"),
        (f"{TRAIN} --data photos --steps 0", r"steps is at least 1, got 0"),
        (f"{TRAIN} --data photos --batch {10**39}", r"batch is at most 2147483647, got 10{39}"),
        (f"{BY_MINUTES} nan", r"--minutes is a positive number, got nan"),
        (f"{BY_MINUTES} 0", r"--minutes is a positive number, got 0"),
        (f"{TRAIN} --data photos --size 64", r"for proxdm, not for lpn-gray; leave them out"),
        (f"{TRAIN} --data photos --out file", r"into file: .* is a file; choose another folder"),
        (f"{TRAIN} --data photos --out run", r"run already holds a training run; resume it or"),
        (f"{TRAIN} --data photos --out run --resume", r"run/state\.pt is damaged or not .*remove"),
        (f"{TRAIN}", r"PROXLAB_DATA"),
        ("demo --quiet --out file/new", r"into file/new: .*file is a file; choose another"),
    ],
)
def test_train_and_demo_refuse_in_a_sentence(here, words, sentence, capsys):
    assert re.search(sentence, refuse(words, capsys))


def test_a_model_is_not_overwritten_by_training(here, capsys):
    shutil.copy("good.safetensors", "photos/lpn-gray.safetensors")
    words = "train lpn-gray --quiet --device cpu --steps 1 --data photos --out photos"
    assert "lpn-gray.safetensors exists; choose another folder" in refuse(words, capsys)


@pytest.mark.parametrize("option", ["--out /proc/new.png", "--trace /proc/new.json"])
@pytest.mark.skipif(not Path("/proc/version").exists(), reason="/proc stands for a shut folder")
def test_a_shut_folder_is_found_out_before_the_work(here, option, monkeypatch, capsys):
    monkeypatch.setattr(restore, "restore", lambda *a, **k: pytest.fail("work was done"))
    said = refuse(f"restore photo.png {BLUR} {option}", capsys)
    assert re.search(
        r"cannot write /proc/new\.\w+: .*; choose a folder that you may write to", said
    )


def test_a_kernel_is_normalised_when_told_to(here):
    for name, option in (("heavy.npy", "--normalize"), ("kernel.npy", "")):
        words = f"restore photo.png deblur --kernel {name} {option} {FAST}"
        assert main([*words.split(), "--out", f"{name}.png"]) == 0
    assert Path("heavy.npy.png").read_bytes() == Path("kernel.npy.png").read_bytes()


def test_odd_kinds_of_images_are_restored_as_what_they_show(here):
    for name, mode in (("palette", "RGB"), ("opaque", "RGB"), ("deep", "I;16"), ("photo", "L")):
        assert main(f"restore {name}.png {BLUR}".split()) == 0
        with Image.open(f"{name}-restored.png") as image:
            assert image.mode == mode and image.size == (36, 32)
            deep = np.asarray(image)
        assert name != "deep" or (deep % 257 != 0).any()


def half_written(args):
    Path("half.png").write_bytes(b"half")
    raise ValueError("no")


def two_lines(args):
    print("a warning", file=sys.stderr)
    raise ValueError("no")


def spoilt(args):
    Path("old.png").write_bytes(b"new")
    raise ValueError("no")


@pytest.mark.parametrize("planted", [half_written, two_lines, spoilt, lambda args: None])
def test_the_check_of_a_refusal_catches_planted_faults(here, planted, monkeypatch, capsys):
    monkeypatch.setattr(restore, "restore_file", planted)
    with pytest.raises(AssertionError):
        refuse(f"restore photo.png {BLUR}", capsys)


@pytest.mark.parametrize(
    "error, sentence",
    [
        (FloatingPointError("the loss is nan\nat step 3"), "the loss is nan at step 3"),
        (OSError(28, "No space left on device", "a.png"), "a.png: No space left on device"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_what_fails_on_the_way_is_a_sentence_too(here, error, sentence, monkeypatch, capsys):
    def failing(args):
        raise error

    monkeypatch.setattr(restore, "restore_file", failing)
    assert refuse(f"restore photo.png {BLUR}", capsys) == f"proxlab: {sentence}\n"
