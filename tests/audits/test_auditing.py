"""Audits: what memorises is flagged, what does not is not, power decides, and what is refused."""

import json

import numpy as np
import pytest
import torch

import proxlab
from proxlab.audits import auditing
from proxlab.audits.figure import draw_audit
from proxlab.commands.main import main

CENTRES = torch.rand(8, 1, 6, 6, generator=torch.Generator().manual_seed(9))


def drawn(n, seed):
    """Images of eight kinds, 0.12 about their centres: the truth that all are drawn from."""
    generator = torch.Generator().manual_seed(seed)
    which = torch.randint(8, (n,), generator=generator)
    noise = 0.12 * torch.randn(n, 1, 6, 6, generator=generator)
    return (0.3 + 0.4 * CENTRES[which] + noise).clamp(0, 1)


TRAIN, HELD_OUT = drawn(300, 0), drawn(300, 1)


class Points(torch.nn.Module):
    """The posterior mean of a prior of points, which knows forty training images and no others."""

    def forward(self, x, sigma):
        points = TRAIN[:40].to(x).flatten(1)
        away = (x.flatten(1)[:, None] - points).square().sum(2) / (2 * sigma**2)
        return (torch.softmax(-away, 1) @ points).view_as(x)


def test_a_model_that_memorises_is_flagged_and_the_truth_is_not():
    model = proxlab.DenoiserDiffusion(Points(), (1, 6, 6))
    found = proxlab.audit(model, TRAIN, HELD_OUT, n=64, steps=50)
    assert found.share >= 0.95 and found.p_value < 1e-9 and found.paper_share > 0.8
    assert "reproduces training images" in repr(found)
    honest = proxlab.audit(drawn(500, 2), TRAIN, HELD_OUT)
    assert honest.share <= 2 * honest.level and honest.p_value > 0.01
    assert honest.verdict.startswith("none found") and honest.power[0.1] > 0.9


def test_copies_with_noise_are_seen_and_ruined_ones_leave_it_unknown(monkeypatch):
    noise = 0.05 * torch.randn(100, 1, 6, 6, generator=torch.Generator().manual_seed(3))
    found = proxlab.audit(torch.cat([TRAIN[:100] + noise, drawn(100, 4)]), TRAIN, HELD_OUT)
    assert 0.45 <= found.share <= 0.55 and found.interval[0] < 0.5 < found.interval[1]
    assert (found.index[found.worst] == found.worst).all()
    monkeypatch.setattr(auditing, "NOISES", (0.1, 2.0))
    monkeypatch.setattr(auditing, "ASKED", 2.0)
    blind = proxlab.audit(drawn(200, 5), TRAIN, HELD_OUT)
    assert blind.power[2.0] < 0.5 and blind.verdict.startswith("not known")


def test_held_out_images_pass_their_own_audit():
    parts = HELD_OUT[:150], HELD_OUT[150:]
    assert proxlab.audit(parts[0], TRAIN, parts[1]).p_value > 0.01
    # planted: nearest distances without the second, as one might, know no scale
    assert proxlab.audit(parts[0], TRAIN, parts[1]).threshold > 0.3


@pytest.mark.parametrize(
    "samples, held_out, level, says",
    [
        (drawn(9, 0), HELD_OUT[:50], 0.01, "takes 100 of them at least, got 50"),
        (drawn(9, 0), torch.cat([HELD_OUT, TRAIN[:2]]), 0.01, "2 of the 302 held-out images are"),
        (drawn(9, 0)[..., :5], HELD_OUT, 0.01, "samples are .1, 6, 5. and held-out"),
        (255 * drawn(9, 0), HELD_OUT, 0.01, "divide by 255"),
        (drawn(9, 0) / 0, HELD_OUT, 0.01, "no numbers"),
        (drawn(9, 0)[0], HELD_OUT, 0.01, "samples are .n, C, H, W."),
        (drawn(9, 0), HELD_OUT, 1.0, "level is a share"),
    ],
)
def test_what_cannot_be_is_a_sentence(samples, held_out, level, says):
    with pytest.raises(ValueError, match=says):
        proxlab.audit(samples, TRAIN, held_out, level=level)


def test_the_figure_is_drawn(tmp_path):
    found = proxlab.audit(drawn(50, 6), TRAIN, HELD_OUT)
    path = draw_audit(found, tmp_path / "a.png")
    assert path.stat().st_size > 5000
    with pytest.raises(FileExistsError):
        draw_audit(found, path)


def test_the_command_says_and_writes_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    for name in ("train", "apart"):
        x = (255 * torch.rand(120, 28, 28, generator=generator)).to(torch.uint8)
        np.save(f"{name}.npy", x.numpy())
    words = "audit proxdm-mnist --train train.npy --held-out apart.npy --n 2 --steps 3"
    assert main([*words.split(), "--json", "a.json", "--figure", "a.png"]) == 0
    assert "copies with noise that the test sees" in capsys.readouterr().out
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["samples"] == 2 and set(told["power"]) == {"0.05", "0.1", "0.2"}
    assert main([*words.split(), "--json", "a.json"]) == 1
    assert "a.json" in capsys.readouterr().err
