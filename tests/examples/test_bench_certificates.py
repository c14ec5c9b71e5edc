"""The bench of certificates: what it runs, that its mistakes are mistakes, what it counts."""

import torch

from examples.benchmarks import bench_certificates as bench
from examples.benchmarks.planted_mistakes import MISTAKES
from proxlab.images.metrics import psnr
from proxlab.named_priors import as_prior

RNG = torch.Generator().manual_seed(0)
IMAGE = torch.nn.functional.interpolate(
    torch.rand(1, 1, 8, 8, generator=RNG), 48, mode="bicubic"
).clamp(0, 1)


def test_a_hundred_honest_runs_and_a_hundred_mistakes_spread_evenly():
    for make in (bench.honest, bench.planted):
        cases = list(make(12))
        assert len(cases) == len({tuple(c.items()) for c in cases}) == 100
        assert {c["image"] for c in cases} == set(range(12))
        each = [sum(c["solver"] == solver for c in cases) for solver in bench.SOLVERS]
        assert min(each) >= 10
    assert {c["mistake"] for c in bench.planted(12)} == set(MISTAKES)
    cells = list(bench.share(12, list(bench.PRIORS), 4))
    assert len(cells) == len({tuple(c.items()) for c in cells}) == 9 * 3 * 4 * 4 + 2 * 3 * 12


def test_what_is_planted_is_small_enough_to_look_right():
    """A mistake that ruins the image would need no certificate to be seen."""
    prior, v = as_prior("lpn-gray"), IMAGE
    x, r = prior.prox_and_value(v, 0.02)
    for name in ("values", "concave", "shifted"):
        wrong = MISTAKES[name].prior(prior)
        wrong.prox_and_value(v + 0.01, 0.02)
        moved, told = wrong.prox_and_value(v, 0.02)
        assert float(psnr(moved, x)) > 15 and float((told - r).abs()) < 0.1 * float(r)
        assert not (torch.equal(moved, x) and torch.equal(told, r))


def test_a_run_with_a_mistake_is_a_row_that_says_why():
    case = {"set": "planted", "prior": "lpn-gray", "problem": "deblur", "solver": "hqs", "image": 0}
    good = bench.once(case | {"set": "honest"}, IMAGE, [])
    bad = bench.once(case | {"mistake": "adjoint"}, IMAGE, [])
    assert good["certified"] and good["margin"] > 0 and good["doubt"] == ""
    assert not bad["certified"] and "adjoint" in bad["doubt"]


def test_shares_margins_and_reasons_are_counted(capsys):
    run = {"set": "share", "prior": "unet-gray", "problem": "ct", "solver": "admm", "image": 0,
           "certified": True, "doubt": "", "rest": True, "margin": 0.5, "gap": None,
           "refused": 1, "psnr": 30.0}  # fmt: skip
    lost = run | {
        "image": 1,
        "refused": 0,
        "psnr": 31.0,
        "certified": False,
        "doubt": "residual 1e-3 above tol; x",
        "rest": 0,
    }
    gap = run | {"prior": "tv", "margin": None, "gap": 9e-5}
    wrong = run | {"set": "planted", "mistake": "values"}
    bench.report([run, lost, gap, wrong])
    out = capsys.readouterr().out
    words = out.split("reasons\n")[1].splitlines()[0].split()
    assert words[:8] == ["unet-gray", "ct", "2", "1", "1", "1", "30.50", "0.50,"]
    assert "1 residual 1e-3 above" in out and "gap 9.0e-05 at most" in out
    assert "values: 1 of 1 certified" in out and "ct, admm, image 0: certified" in out
