"""The example of recorders in deepinv's algorithms: verdicts for all, and a median is found out."""

import pytest
import torch

from examples import evidence_of_deepinv as example


@pytest.mark.parametrize("algorithm", example.ALGORITHMS)
def test_it_judges_every_denoiser(algorithm, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))  # no weights at hand
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", None)  # nor fetched
    words = f"--algorithm {algorithm} --size 32 --steps 8 --priors lpn-gray-small,unet-gray-small"
    found = example.main(words.split())
    names = ["DnCNN of deepinv", "DRUNet of deepinv", "MedianFilter of deepinv"]
    assert list(found) == [*names, "lpn-gray-small", "unet-gray-small"]
    assert {name: one.exact for name, one in found.items()} == {
        name: "Median" not in name for name in found
    }
    assert all(one.evaluations >= 8 for one in found.values())
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 6 and all("margin" in line for line in said[1:])
    assert "(random weights)" in said[1] and "no function has these proxes" in said[3]
