"""The bench of one prox: the inventors' network is convex, patches cover, the counts are right."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from proxlab.priors.lpn import cache_blocks
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN

PATH = Path(__file__).parents[2] / "examples/benchmarks/bench_prox.py"
SPEC = importlib.util.spec_from_file_location("bench_prox", PATH)
bench = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(bench)


def theirs() -> torch.nn.Module:
    """A narrow one, with gains near one: as it starts, its own quadratic term hides all else."""
    torch.manual_seed(0)
    network = bench.InventorsNetwork(8).double()
    for weights in network.convex_weights():
        weights /= weights.sum() / len(weights)
    return network


def least_slope(network, pairs: int = 4) -> float:
    """min <f(u) - f(v), u - v> / |u - v|^2 over random images, near and far: >= 0 if monotone."""
    generator = torch.Generator().manual_seed(1)
    shape = (pairs, 1, bench.PATCH, bench.PATCH)
    u = torch.rand(shape, generator=generator, dtype=torch.float64)
    step = torch.randn(shape, generator=generator, dtype=torch.float64)
    step *= torch.logspace(-3, 0, pairs, dtype=torch.float64).view(-1, 1, 1, 1)
    change = network.prox(u + step) - network.prox(u)
    return float(((change * step).sum((1, 2, 3)) / step.square().sum((1, 2, 3))).min())


def flops(task) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        task()
    return counter.get_total_flops()


def test_the_inventors_network_is_convex():
    network = theirs()
    assert all((weights >= 0).all() for weights in network.convex_weights())
    assert least_slope(network) > 2e-6 * 10  # the quadratic term alone gives 2e-6


@pytest.mark.parametrize("layer", range(len(bench.STRIDES) + 2))
def test_a_negative_weight_in_any_layer_is_seen(layer):
    # Behind the planted filter all is kept in the linear part of softplus: no curvature hides it.
    network = theirs()
    for skip in network.skips[layer:]:
        skip.bias += 1e6
    assert least_slope(network) > 0
    weights = network.convex_weights()[layer]
    weights[(0,) * min(2, weights.ndim)] = -100
    assert least_slope(network) < 0


@pytest.mark.parametrize(
    "size, missing", [(128, 0), (192, 0), (320, 0), (180, 1 - (128 / 180) ** 2)]
)
def test_patches_average_to_the_image_where_there_are_any(size, missing):
    x = torch.rand(1, 1, size, size, dtype=torch.float64)
    mean = bench.patchwise(lambda patch: patch, x)
    defined = ~mean.isnan()
    torch.testing.assert_close(mean[defined], x[defined])
    assert 1 - float(defined.double().mean()) == pytest.approx(missing)


def test_on_one_patch_both_of_their_ways_agree():
    network, x = theirs(), torch.rand(1, 1, bench.PATCH, bench.PATCH, dtype=torch.float64)
    torch.testing.assert_close(bench.patchwise(network.prox, x), network.prox(x))


@pytest.mark.parametrize("size", [128, 150, 201])
def test_their_operations_are_those_that_torch_counts(size):
    # psi alone, for torch's counter refuses autograd.grad; the gradient costs as much.
    network, x = bench.InventorsNetwork(8), torch.rand(1, 1, size, size)
    assert bench.inventors_flops(8, size) == 2 * flops(lambda: network.psi(x))


def test_none_of_our_products_escapes_the_counter(monkeypatch):
    monkeypatch.setattr(cache_blocks, "TILE", 1000)  # one tile: no window is seen twice
    config = MixtureConfig(bases=3, components=5, kept=7, context=3)
    rows, columns, seen, total = 73, 73, 7 + 1, 3 * 5
    inner = total * 7 + total * (1 + seen) + 16 * 32 + 16 * 16  # mixtures, filters on means
    # the mean and the energy of tapered windows, there and back
    wide = 8**2 * ((rows + 6) * (columns + 6) + (rows + 9) * (columns + 9))
    context = 8**2 * 7 * (rows + 2) * (columns + 2) + seen * 9 * rows * columns
    turns = 3 * 7 * 63 * 64 + 15 * 15 * 16
    biases = (total + 32) * rows * columns
    products = (inner + 8**2 * 3 * 7) * rows * columns + wide + context
    prior, x = LPN(MixturePotential(config)), torch.rand(1, 1, 128, 128)
    assert bench.our_flops(prior, x) == 4 * products + 2 * (turns + biases)


def test_their_patch_costs_about_25_gflop():
    assert bench.inventors_flops(256, 128) / 1e9 == pytest.approx(25, abs=0.1)


def test_it_runs_and_reports(capsys):
    threads = str(torch.get_num_threads())
    best = bench.main(["--size", "128", "--threads", threads, "--runs", "1", "--width", "8"])
    text = capsys.readouterr().out
    assert all(seconds > 0 for seconds in best.values())
    assert all(name in text for name in best)
    assert "ours, prox" in best and "theirs, patches" in best
    assert "MB" in text and "0.0% undefined" in text


def test_it_refuses_an_image_smaller_than_a_patch():
    with pytest.raises(SystemExit):
        bench.main(["--size", "100"])
