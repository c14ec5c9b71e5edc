"""Runs of `pdhg` on |d x - y|^2 / (2 s^2) + w |x|_1, whose answer is a soft threshold."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from proxlab.operators import inpaint
from proxlab.priors.contract import Capabilities
from proxlab.priors.weighted_length import WeightedLength
from proxlab.restoration.premises import composite_doubt, curvature_floor, units_doubts
from tests.restoration.closed_forms import CHECKERED, NOISE, Scaled, measured, pictures, restored
from tests.restoration.liars import LargerBall, ShorterAdjoint, SmallerValue
from tests.toys import Quadratic, soft

W = 10.0
D = torch.linspace(0.5, 2.0, 64, dtype=torch.float64).view(1, 1, 8, 8)
OPERATORS = {"mask": (inpaint(CHECKERED[0, 0], NOISE), CHECKERED), "scaled": (Scaled(D), D)}


@dataclass(frozen=True)
class Length:
    """g(x) = w |x|_1 as h(K x), K x = x."""

    weight: float = W
    norm_squared: float = 1.0

    @property
    def radius(self) -> float:
        return self.weight

    def forward(self, x: Tensor) -> Tensor:
        return x

    def adjoint(self, u: Tensor) -> Tensor:
        return u

    def project(self, u: Tensor) -> Tensor:
        return u.clamp(-self.weight, self.weight)

    def value(self, x: Tensor) -> Tensor:
        return self.weight * x.abs().flatten(1).sum(1)

    def spectrum(self, x: Tensor) -> Tensor:
        return torch.ones_like(torch.fft.rfft2(x).real)

    def select(self, index: Tensor) -> "Length":
        return self


class NotANumber(Length):
    """Its value is none for the second of two images, and for no other."""

    def value(self, x: Tensor) -> Tensor:
        value = super().value(x)
        return value if len(x) < 2 else value * torch.tensor([1.0, torch.nan])


@dataclass(frozen=True)
class Sparse:
    """R_sigma = sigma^2 w |x|_1."""

    kind: type[Length] = Length
    name: str = "sparse"
    sigma_range: tuple[float, float] = (1e-3, 0.9)
    capabilities: Capabilities = Capabilities(exact=True, convex=True)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        return soft(v, W * torch.as_tensor(sigma**2).view(-1, 1, 1, 1))

    def composite(self) -> Length:
        return self.kind()


def objective(x: Tensor, y: Tensor, d: Tensor) -> Tensor:
    misfit = (d * x - y).square().flatten(1).sum(1) / (2 * NOISE**2)
    return misfit + W * x.abs().flatten(1).sum(1)


def exact(y: Tensor, d: Tensor) -> Tensor:
    """soft(d y, w s^2) / d^2, zero where d is."""
    return torch.where(d > 0, soft(d * y, W * NOISE**2) / d.square().clamp(min=1e-9), 0.0)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("tol", [1e-3, 1e-8])
def test_the_gap_bounds_what_is_left_to_gain_and_certifies(name, tol):
    op, d = OPERATORS[name]
    y = measured(2, d)
    result = restored(Sparse(), op, y, tol=tol, steps=3000)
    assert result.solver == "pdhg" and result.certified == [True, True] and result.descent == 0
    least = objective(exact(y, d), y, d)
    now = objective(result.image, y, d)
    for b, found in enumerate(result.evidence):
        left = float((now[b] - least[b]) / now[b])
        assert -1e-12 < left <= found.gap < tol
        assert (found.evaluations, found.looked_at, found.margin) == (0, 0, None)
        k = int(result.steps[b]) - 1
        told = float(result.trace.gap[k, b] / result.trace.objective[k, b])
        assert found.gap == pytest.approx(told)
    if tol < 1e-6:
        assert (result.image - exact(y, d)).norm() < 1e-3 * exact(y, d).norm()


def test_each_image_stops_at_its_own_gap_and_a_loose_one_certifies_nothing():
    op, _ = OPERATORS["mask"]
    result = restored(Sparse(), op, measured(2), tol=torch.tensor([1e-6, 0.5]))
    assert result.certified == [True, False] and int(result.steps[0]) > int(result.steps[1])
    assert result.doubts[1] == "tol = 0.5 is above 0.01, which certifies nothing"
    short = restored(Sparse(), op, measured(2), tol=1e-12, steps=1)
    assert all(words.startswith("duality gap") for words in short.doubts)
    assert short.steps.tolist() == [1, 1] and len(short.trace.gap) == 1


def test_black_is_certified_where_black_is_the_answer():
    result = restored(Sparse(), OPERATORS["mask"][0], 0 * measured(1))
    assert result.evidence[0].gap == 0 and result.certified == [True]
    assert not result.image.any()


def test_an_image_that_diverges_is_told_alone():
    result = restored(Sparse(NotANumber), OPERATORS["mask"][0], measured(2))
    assert result.stopped == ["tolerance", "diverged"] and result.certified[0] is False
    lost = result.evidence[1]
    assert lost.gap is None and lost.evaluations == 0 and "not finite" in result.doubts[1]


def test_a_start_of_one_s_own_is_where_pdhg_begins():
    op, d = OPERATORS["mask"]
    y = measured(2)
    plain, near = (restored(Sparse(), op, y, init=x, steps=1) for x in (None, exact(y, d)))
    least = objective(exact(y, d), y, d)
    away, here = (abs(one.trace.objective[0] - least) for one in (plain, near))
    assert (here < 0.2 * away).all()
    other = restored(Sparse(), op, y, solver="admm", tol=1e-9, steps=2000)  # another road
    assert (other.image - exact(y, d)).norm() < 1e-5 * exact(y, d).norm()


COMPOSITES = {
    "honest": (WeightedLength(0.3), ""),
    "honest of each image": (WeightedLength(torch.tensor([0.3, 3.0]).double()), ""),
    "ball": (LargerBall(0.3), "value is not the most on its dual ball, by 5.0e-01"),
    "adjoint": (ShorterAdjoint(0.3), "adjoint is not that of K"),
    "value": (SmallerValue(0.3), "value is not the most on its dual ball, by 1.1e-01"),
}


@pytest.mark.parametrize("name", COMPOSITES)
@pytest.mark.parametrize("scale", [1.0, 1e-3, 0.0])
def test_a_composite_is_checked_by_two_identities_and_the_number_is_told(name, scale):
    g, words = COMPOSITES[name]
    said = composite_doubt("tv", g, measured(2), scale * pictures(2))
    assert (said == "") == (words == "") and words in said


@pytest.mark.parametrize(
    "bright, said", [(3.9, ""), (4.1, "reaches 4.1"), (0.031, ""), (0.029, "stays below 0.029")]
)
def test_units_are_told_by_the_brightest_hundredth(bright, said):
    """Of 400 pixels the fourth brightest: three may be as bright as they like."""
    x = torch.zeros(2, 1, 20, 20)
    x[:, 0, 0, :3], x[:, 0, 1, 0] = 100.0, -bright
    x[1, 0, 0, 2] = 0.0  # of the second image the fourth brightest is dark
    first, second = units_doubts("it", x)
    assert said in first and (first == "") == (said == "") and second == ""
    assert first == "" or "it is made for images in [0, 1]" in first


def test_units_of_what_is_no_number_or_very_small_are_let_pass():
    assert units_doubts("it", torch.full((1, 1, 4, 4), torch.inf)) == [""]
    assert units_doubts("it", torch.zeros(1, 1, 4, 4)) == [""]
    assert "reaches 5" in units_doubts("it", torch.full((1, 1, 1, 1), 5.0))[0]


def test_curvature_from_below_is_a_rayleigh_quotient_that_grows():
    """Of diag(1, 4) from (1, 1), (1 + 4^(2k - 1)) / (1 + 4^(2k - 2)) after k steps."""

    class Two(Quadratic):
        def grad(self, x):
            return super().grad(x.flatten(1)).view_as(x)

    A = torch.diag(torch.tensor([1.0, 2.0]).double())[None]
    f = Two(A, torch.tensor([[0.3, -0.2]]).double())
    x = torch.ones(1, 1, 1, 2, dtype=torch.float64)
    for steps in (1, 2, 3):
        found = float(curvature_floor(f, x, steps))
        exactly = (1 + 4 ** (2 * steps - 1)) / (1 + 4 ** (2 * steps - 2))
        assert found == pytest.approx(exactly, rel=1e-6)
    assert float(curvature_floor(f, 0 * x, 1)) == pytest.approx(2.5)  # from ones
    assert float(curvature_floor(f, 1e-3 * x, 3)) == pytest.approx(
        float(curvature_floor(f, 1e3 * x, 3))
    )
