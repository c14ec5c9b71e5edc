"""Devices of the commands: taken by name, or refused in one sentence."""

from functools import lru_cache

import pytest
import torch
import torch.distributed as dist

from proxlab.commands.device import device, training_device
from proxlab.commands.main import main
from proxlab.machine import PeakMemory
from proxlab.training import processes


@pytest.fixture
def apple(monkeypatch):
    """A function that says whether there is an Apple GPU; there is no CUDA device."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def says(there: bool) -> None:
        # torch looks for what its own cache wraps
        monkeypatch.setattr(torch.backends.mps, "is_available", lru_cache(lambda: there))

    return says


def test_devices_by_name(apple, monkeypatch):
    apple(True)
    assert device("auto") == "cpu" and device("cpu") == "cpu" and device("mps") == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device("auto") == "cuda" and device("cuda") == "cuda"
    assert training_device("cuda") == "cuda" and training_device("auto") == "cuda"


@pytest.mark.parametrize(
    "name, said",
    [
        ("mps", "no Apple GPU was found; use --device cpu"),
        ("cuda", "no CUDA device was found; use --device cpu"),
        ("tpu", "device is auto, cpu, cuda or mps, got 'tpu'"),
    ],
)
def test_what_is_not_there_is_refused_in_a_sentence(apple, capsys, tmp_path, name, said):
    apple(False)
    with pytest.raises(ValueError, match=said):
        device(name)
    words = f"sample proxdm-mnist --n 1 --out {tmp_path / 'x.png'} --device {name}"
    assert main(words.split()) == 1
    assert capsys.readouterr().err.strip().endswith(said)


def test_training_and_several_processes_are_not_for_an_apple_gpu(apple, monkeypatch):
    apple(True)
    with pytest.raises(ValueError, match="trained on cpu or cuda"):
        training_device("mps")
    with processes.joined("mps") as place:
        assert place == "mps"
    monkeypatch.setattr(dist, "is_torchelastic_launched", lambda: True)
    refused = pytest.raises(ValueError, match="one Apple GPU; start one process")
    with refused, processes.joined("mps"):
        pass


def test_its_peak_memory_is_not_known():
    with PeakMemory("mps") as memory:
        pass
    assert memory.peak is None
