"""Evidence of a restoration: numbers of the run itself, for every prior, image by image."""

import pytest
import torch
from deepinv.physics import GaussianNoise, UniformNoise, ZeroNoise
from skimage.data import camera

import proxlab
from proxlab.operators import Noise, deblur, gaussian_kernel, inpaint, random_mask

CLEAN = torch.from_numpy(camera()).float()[None, None, 100:148, 200:248] / 255
OP = inpaint(random_mask((48, 48), 0.3, torch.Generator().manual_seed(0)), 0.03)
Y = OP(CLEAN, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("solver", ["pgd", "admm", "drs", "hqs"])
@pytest.mark.parametrize("prior", ["unet-gray", "lpn-gray-small"])
def test_runs_at_rest_are_certified_with_every_number_filled_in(prior, solver):
    result = proxlab.restore(Y, OP, prior, solver, steps=300)
    found = result.evidence[0]
    assert result.certified == [True] and result.doubts == [""]
    assert found.margin >= 0 and found.evaluations >= found.looked_at > 5
    assert found.evaluations == int(result.steps[0]) - result.descent
    assert found.looked_at <= 64
    assert found.adjoint_error < 1e-5 and found.linearity_error < 1e-5
    assert found.data_error < 1e-2 and 0 < found.curvature <= 1.01
    assert 0 < found.step < found.step_limit and 0 <= found.gradient <= 1e-2
    assert found.gap is None and found.convex_margin is not None
    assert (found.value_margin is None) == (prior == "unet-gray")
    low, high = found.objective_fall
    assert low == high if prior == "lpn-gray-small" else low < high
    lines = str(found).splitlines()
    assert 10 <= len(lines) <= 13 and max(map(len, lines)) < 80
    for name in ("margin of one prox", "tau L", "gradient left", "fall of the objective"):
        assert sum(name in line for line in lines) == 1
    assert not any("None" in line or "gap" in line for line in lines)


def test_the_interval_of_the_fall_without_values_holds_the_one_that_is_known():
    told = proxlab.restore(Y, OP, "lpn-gray-small", "drs", steps=200)
    checks = proxlab.Checks(values=False)
    silent = proxlab.restore(Y, OP, "lpn-gray-small", "drs", steps=200, checks=checks)
    assert torch.equal(told.image, silent.image) and silent.trace.objective is None
    assert silent.evidence[0].value_margin is None and silent.certified == [True]
    known, _ = told.evidence[0].objective_fall
    low, high = silent.evidence[0].objective_fall
    first, last = told.descent, int(told.steps[0]) - 1
    assert told.solver == "drs" and low <= known <= high < low + 2 * abs(known) + 1e3
    objective = told.trace.objective[[first, last], 0]
    assert known == pytest.approx(float(objective[0] - objective[1]), rel=1e-3, abs=1e-2)
    assert not low <= known + 2 * (high - low) <= high  # planted: another fall


def test_a_batch_is_judged_as_its_images_alone():
    batch = torch.cat([CLEAN, 0.7 * CLEAN.flip(3)])
    y = OP(batch, generator=torch.Generator().manual_seed(1))
    together = proxlab.restore(y, OP, "lpn-gray-small", "pgd", steps=150)
    for b in range(2):
        alone = proxlab.restore(y[b : b + 1], OP, "lpn-gray-small", "pgd", steps=150)
        ours, theirs = together.evidence[b], alone.evidence[0]
        assert abs(ours.evaluations - theirs.evaluations) <= 1
        for name in ("margin", "convex_margin", "value_margin", "step", "curvature"):
            one, other = getattr(ours, name), getattr(theirs, name)
            assert one == pytest.approx(other, abs=0.02), name
        assert together.certified[b] == alone.certified[0]
    first, second = together.evidence
    assert abs(first.objective_fall[0] - second.objective_fall[0]) > 1


def test_noise_is_told_estimated_or_asked_for_and_never_assumed():
    blind = inpaint(OP.mask[0], 0.0)
    for model in (Noise(0.0), ZeroNoise(), UniformNoise(0.02), GaussianNoise(0.0)):
        blind.noise_model = model
        with pytest.raises(ValueError, match="knows no noise level.*noise="):
            proxlab.restore(Y, blind, "none", steps=2)
    told = proxlab.restore(Y, blind, "none", steps=2, noise=0.03)
    known = proxlab.restore(Y, OP, "none", steps=2)
    assert torch.equal(told.image, known.image)
    y = torch.cat([Y, Y])
    each = proxlab.restore(y, blind, "none", steps=2, noise=torch.tensor([0.03, 0.06]))
    assert each.premises.noise.tolist() == pytest.approx([0.03, 0.06])
    assert each.premises.lipschitz[0] == pytest.approx(4 * float(each.premises.lipschitz[1]))
    auto = proxlab.restore(Y, blind, "none", steps=2, noise="auto")
    assert 0.01 < float(auto.premises.noise) < 0.09
    for wrong in ("guess", 0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="noise is a"):
            proxlab.restore(Y, OP, "none", steps=2, noise=wrong)


def test_a_loose_tolerance_certifies_nothing():
    loose = proxlab.restore(Y, OP, "lpn-gray-small", "pgd", tol=0.1)
    tight = proxlab.restore(Y, OP, "lpn-gray-small", "pgd", tol=1e-3)
    assert tight.certified == [True]
    assert loose.certified == [False] and "tol = 0.1 is above 0.01" in loose.doubts[0]


def test_fewer_pairs_are_looked_at_where_that_is_asked():
    few = proxlab.restore(Y, OP, "lpn-gray-small", "pgd", checks=proxlab.Checks(pairs=5))
    assert few.evidence[0].looked_at <= 5 < few.evidence[0].evaluations
    with pytest.raises(ValueError, match="pairs >= 2"):
        proxlab.Checks(pairs=1)


def test_a_wrong_adjoint_is_an_error_unless_one_insists():
    op = deblur(gaussian_kernel(1.0), 0.03)
    back = op.A_adjoint
    op.A_adjoint = lambda y, **kwargs: 0.9 * back(y)
    y = op(CLEAN, generator=torch.Generator().manual_seed(1))
    with pytest.raises(ValueError, match=r"not the adjoint.*Checks\(adjoint=False\)"):
        proxlab.restore(y, op, "none", steps=3)
    checks = proxlab.Checks(adjoint=False)
    result = proxlab.restore(y, op, "none", "pgd", steps=3, checks=checks)
    assert "not the adjoint" in result.doubts[0] and result.evidence[0].adjoint_error > 1e-2
