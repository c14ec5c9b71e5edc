"""CRATE's layers are their formulas; the denoiser takes images of any size, in any batch."""

import pytest
import torch
import torch.nn.functional as F
from skimage.data import camera

from proxlab import checkpoints
from proxlab.priors.crate import denoiser
from proxlab.priors.crate.attention import Windows
from proxlab.priors.crate.coding_rate import coding_rate, compressed_rate
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.crate.layer_rates import layer_rates
from proxlab.priors.crate.layers import (
    STEP,
    DecoderLayer,
    EncoderLayer,
    SubspaceAttention,
    by_strips,
)

SMALL = CrateConfig(width=32, heads=2, layers=2)


def random(module, scale=0.2):
    """The module in float64 with every weight moved, so that no term is silent."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in module.parameters():
            p += scale * torch.randn(p.shape, generator=generator)
    return module.double()


def numbers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def slow_attention(layer, tokens, level, side):
    """MSSA token by token: the keys of each are written out."""
    (_, h, w, _), joined = tokens.shape, torch.zeros_like(tokens)
    sharp, line = layer.sharpness(level).exp()[0], 3 * side - 1
    for i in range(h):
        for j in range(w):
            top, left = i // side * side - side // 2, j // side * side - side // 2
            heads = []
            for k, basis in enumerate(layer.U):
                values, logits = [], []
                for a in range(max(0, top), min(h, top + 2 * side)):
                    for b in range(max(0, left), min(w, left + 2 * side)):
                        y, key = basis @ tokens[0, i, j], basis @ tokens[0, a, b]
                        place = (a - i + line // 2) * line + b - j + line // 2
                        logits.append(sharp[k] * y @ key + layer.places[k, place])
                        values.append(key)
                heads.append(torch.stack(logits).softmax(0) @ torch.stack(values))
            joined[0, i, j] = layer.W @ torch.cat(heads)
    return joined


@pytest.mark.parametrize("fused", [False, True])
def test_attention_is_that_of_each_token_by_itself(fused):
    layer = random(SubspaceAttention(8, 2, Windows(4), 3))
    tokens, level = numbers(1, 6, 9, 8), numbers(1, 3, seed=2)
    with torch.set_grad_enabled(not fused):
        found = layer(tokens, level)
    assert torch.allclose(found, slow_attention(layer, tokens, level, 4), atol=1e-10)
    with torch.no_grad():
        layer.places[:, :40] += 1
    assert not torch.allclose(layer(tokens, level), found, atol=1e-3)


def test_windows_are_cut_out_of_the_map_where_they_say():
    with pytest.raises(ValueError, match="even side of at least 2 tokens, got 3"):
        Windows(3)
    layer, level = random(SubspaceAttention(8, 2, Windows(4), 3)), numbers(1, 3)
    tokens = numbers(1, 12, 12, 8)
    far = tokens.clone()
    far[:, :, 10:] += 1  # two tokens beyond the middle window and what it sees
    change = (layer(far, level) - layer(tokens, level)).abs().amax((0, 1, 3))
    assert (change[:4] == 0).all() and (change[8:] > 0).all() and (change[4:8] == 0).all()
    near = tokens.clone()
    near[:, :, 9] += 1
    change = (layer(near, level) - layer(tokens, level)).abs().amax((0, 1, 3))
    assert (change[:4] == 0).all() and (change[4:] > 0).all()


def test_sparse_coding_is_a_step_down_its_objective():
    coding = random(EncoderLayer(8, 2, Windows(4), 3)).coding
    z, level = numbers(2, 3, 4, 8), numbers(2, 3)
    weight = coding.threshold(level)[:, None, None]

    def smooth(x):
        return (z - x @ coding.D.T).square().sum() / 2

    x = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(smooth(x), x)
    assert torch.allclose(coding(z, level), F.relu(z - STEP * slope - STEP * weight))


def test_codes_are_non_negative_and_a_decoder_runs_the_other_way():
    layer, level = random(EncoderLayer(8, 2, Windows(4), 3)), numbers(2, 3)
    z = numbers(2, 5, 6, 8)
    codes = layer(z, level)
    assert (codes >= 0).all() and 0.1 < (codes == 0).double().mean() < 0.9
    assert torch.allclose(layer.compress(z, level) - z, layer.attention(layer.before(z), level))
    back = random(DecoderLayer(8, 2, Windows(4), 3))
    out = back.before(z) @ back.D.T
    assert torch.allclose(back(z, level), out - back.attention(back.between(out), level))


@pytest.mark.parametrize("kind", [EncoderLayer, DecoderLayer])
@pytest.mark.parametrize("most", [1, 2 * 6 * 8, 2 * 6 * 12, 10**6])  # 4, 8, 12 and all 18 rows
def test_a_layer_by_strips_is_the_layer(kind, most):
    layer, level, tokens = random(kind(8, 2, Windows(4), 3)), numbers(2, 3), numbers(2, 18, 6, 8)
    seen = []
    layer.attention.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    found = by_strips(layer, tokens, level, most)
    assert len(seen) == {1: 5, 96: 3, 144: 2, 10**6: 1}[most] and max(seen) <= most // 12 + 8
    assert torch.allclose(found, layer(tokens, level), atol=1e-12)


@pytest.fixture(scope="module")
def model():
    return random(CrateDenoiser(SMALL), 0.05).float().eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(1, 1), (7, 30), (33, 64)])
def test_takes_any_size_and_any_company(model, size):
    v = torch.rand(3, 1, *size, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.05, 0.1, 0.2])
    together = model.prox(v, sigma)
    alone = torch.cat([model.prox(v[i : i + 1], sigma[i]) for i in range(3)])
    assert together.shape == v.shape
    assert torch.allclose(together, alone, atol=1e-5)
    assert not torch.allclose(together, model.prox(v, 0.1), atol=1e-3)


@pytest.mark.parametrize("at_once", [0, 10**6])
def test_a_large_image_is_no_other_without_gradients(at_once, model, monkeypatch):
    monkeypatch.setattr(denoiser, "AT_ONCE", at_once)
    v = torch.rand(1, 1, 30, 60, generator=torch.Generator().manual_seed(0))
    whole = model.prox(v.clone().requires_grad_(), 0.1)
    monkeypatch.setattr(by_strips, "__defaults__", (4 * 15,))  # four rows of tokens of eight
    with torch.no_grad():
        assert torch.allclose(model.prox(v, 0.1), whole, atol=1e-5)


def test_colours_are_taken_one_by_one_or_together(model):
    v = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    one = torch.cat([model.prox(v[:, c : c + 1], 0.1) for c in range(3)], 1)
    assert torch.allclose(model.prox(v, 0.1), one, atol=1e-5)
    together = CrateDenoiser(CrateConfig(channels=3, width=32, heads=2, layers=1))
    assert together.prox(v, 0.1).shape == v.shape
    with pytest.raises(ValueError, match="colour images"):
        together.prox(v[:, :1], 0.1)
    with pytest.raises(ValueError, match="divide by 255"):
        model.prox(v, 25)


def test_is_saved_and_loaded(model, tmp_path):
    path = checkpoints.save(tmp_path / "crate-test", model, {})
    v = torch.rand(1, 1, 20, 24)
    assert torch.equal(checkpoints.load(path).prox(v, 0.1), model.prox(v, 0.1))


def test_layer_rates_are_those_of_unit_tokens_in_the_spans_of_the_heads(model):
    v = torch.rand(2, 1, 32, 40, generator=torch.Generator().manual_seed(0))
    found = layer_rates(model, v, 0.1, precision=0.3)
    assert len(found) == SMALL.layers and found[0].rate.shape == (2,)
    layer = next(model.encode(v, 0.1))
    tokens = layer.compressed.double().flatten(1, 2)
    tokens = tokens / tokens.norm(dim=2, keepdim=True)
    assert torch.allclose(found[0].rate, coding_rate(tokens, 0.3))
    spans = [basis.double().T @ torch.linalg.pinv(basis.double().T) for basis in layer.subspaces]
    inside = [torch.linalg.svd(span)[2][: len(layer.subspaces[0])] for span in spans]
    assert torch.allclose(found[0].compressed, compressed_rate(tokens, torch.stack(inside), 0.3))
    assert torch.equal(found[0].reduction, found[0].rate - found[0].compressed)
    zeros = (layer.codes == 0).flatten(1).double().mean(1)
    assert torch.allclose(found[0].nonzero, 1 - zeros)


def seam(error):
    """Mean square jump of an error [H, W] where windows meet, over that where patches meet."""
    total = {True: 0.0, False: 0.0}
    for across in (error, error.T):
        jumps = (across[:, 1:] - across[:, :-1]).square().mean(0)
        ends = jumps[3::4]  # a patch every 4 pixels, a window every 16
        for i, jump in enumerate(ends.tolist()):
            total[i % 4 == 3] += jump / (len(ends) // 4 if i % 4 == 3 else len(ends) * 3 / 4)
    return total[True] / total[False]


def test_windows_of_the_trained_network_leave_no_seams():
    generator = torch.Generator().manual_seed(0)
    clean = torch.from_numpy(camera()[100:356, 100:356]).float() / 255
    noisy = clean + 25 / 255 * torch.randn(clean.shape, generator=generator)
    error = checkpoints.load("crate-gray").prox(noisy[None, None], 25 / 255)[0, 0] - clean
    assert error.square().mean().log10() < -2.9  # 29 dB
    assert 0.9 < seam(error) < 1.1
    windows = torch.randn(16, 16, generator=generator).repeat_interleave(16, 0)
    windows = windows.repeat_interleave(16, 1)
    assert seam(error + 0.5 * error.std() * windows) > 1.2


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"channels": 2}, "channels is 1"),
        ({"patch": 8, "stride": 5}, "even number of pixels"),
        ({"stride": 12}, "even number of pixels"),
        ({"width": 30, "heads": 4}, "heads share the width"),
        ({"layers": 0}, "a layer at least"),
        ({"side": 5}, "even side"),
    ],
)
def test_a_size_that_cannot_be_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        CrateConfig(**wrong)
