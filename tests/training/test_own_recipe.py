"""The recipe of one's own that docs/guides/train.md shows: it runs, and is as short as is said."""

import re
from pathlib import Path

import pytest
from PIL import Image
from skimage.data import camera

import proxlab

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "train.md"


def shown() -> str:
    """The code below the heading."""
    section = GUIDE.read_text().partition("## A recipe of one's own in 15 lines of Python\n")[2]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return code


def follow(code: str) -> None:
    """Run the code here for a moment in place of minutes, on photographs and a picture."""
    Path("photos").mkdir()
    for i in range(3):
        Image.fromarray(camera()[60 * i : 60 * i + 40, 200:240]).save(f"photos/{i}.png")
    Image.fromarray(camera()[100:140, 200:240]).save("noisy.png")
    shorter = code.replace("minutes=5", "minutes=0.001").replace(
        "load(path))", "load(path), steps=2)"
    )
    assert shorter.count("0.001") == 1 and shorter.count("steps=2") == 1
    exec(compile(shorter, str(GUIDE), "exec"), {})


def test_it_trains_and_restores(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    follow(shown())
    assert "Restoration" in capsys.readouterr().out
    prior = proxlab.load("run/mine.safetensors")
    assert prior.capabilities.exact and prior.name == "mine"
    left = {path.name for path in Path("run").iterdir()}
    assert left == {"mine.safetensors", "mine.json", "log.jsonl", "state.pt"}


def test_it_is_as_short_as_it_says():
    lines = [line for line in shown().splitlines() if line.strip()]
    assert len(lines) <= 15


def test_a_page_that_no_longer_runs_is_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError):
        follow(shown().replace("TrainConfig(patch=32)", "TrainConfig(side=32)"))
