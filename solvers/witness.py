"""A witness of a run: it keeps what the run asked of the prior and of f, to be judged afterwards.

    witness = Witness(pairs=64)
    result = run(admm(f, g, x, tau=tau), max_steps=400, tol=1e-4, witness=witness)
    witness.of(0).x, witness.of(0).v        # the evaluations of the first image
    solvers.evidence.interpolation(witness.of(0).v, witness.of(0).x)

It also tells the driver when an image is at rest: by the gradient of the objective, and not by the
step alone, which a small tau makes as short as one likes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from solvers.protocols import Evaluation, Image, PerImage, State, distance, select

PAIRS = 64
"""Evaluations that are kept of an image: the first, the last, the others spread."""
MOST_BYTES = 256 * 2**20
"""Memory that they may take."""
REST = 1e-2
"""Gradient at rest, relative to that at the reference."""


class Seen(NamedTuple):
    """Evaluations of one image at the fixed level, in the order of the run."""

    v: list[Image]
    """Images that the prox was asked about; [C, H, W] each, in the dtype of the run."""
    x: list[Image]
    """Answers; the last is that of the result."""
    point: list[Image]
    """Images at which f's gradient was taken: it is (point - v) / tau there."""
    values: Tensor | None
    """tau g(x) as the prior reports it, float64 [K]; None where it reports none."""
    misfits: Tensor
    """f(x), float64 [K]."""
    tau: float
    steps: list[int]
    """Steps of the run at which they were asked for, from 1."""
    evaluations: int
    """Number of evaluations of the run, of which these are kept."""
    gradient: float
    """Norm of the objective's gradient at the last x, a bound where tau L > 2 makes it one."""
    largest: float
    """The same at the first of these evaluations."""


@dataclass
class _Kept:
    """One evaluation of some images of the batch."""

    step: int
    number: int
    """Number of the evaluation, from 0."""
    images: Tensor
    state: State

    def place(self, image: int) -> int | None:
        """Position of an image of the original batch, None if it is not here."""
        found = (self.images == image).nonzero()
        return int(found[0]) if len(found) else None


@dataclass
class Witness:
    """Keeper of evaluations; one for each run. Raises ValueError for pairs < 2.

    lipschitz: L of f's gradient [B] or a float: with tau L > 2 a step bounds the gradient of the
    objective less tightly, |x - point| (tau L - 1) / tau. reference: norm of the objective's
    gradient [B] that counts as 1; that of the first step if None. rest: relative gradient below
    which an image may stop; inf leaves that to the driver's tol.
    """

    pairs: int = PAIRS
    lipschitz: float | PerImage = 0.0
    reference: PerImage | None = None
    rest: float = REST
    _kept: list[_Kept] = field(default_factory=list, init=False)
    _ends: list[_Kept] = field(default_factory=list, init=False)
    _latest: _Kept | None = field(default=None, init=False)
    _stride: int = field(default=1, init=False)
    _count: int = field(default=0, init=False)

    def __post_init__(self):
        if self.pairs < 2:
            raise ValueError(f"a witness keeps the first and the last at least, got {self.pairs}")

    def resting(self, state: State, images: Tensor, way: PerImage | None = None) -> Tensor:
        """Whether the gradient of each image in `state` is small enough to stop, bool on the CPU.

        images: positions in the original batch of those that the state holds; way: that of the
        state as `moved` has it, to be measured if None.
        """
        if state.evaluation is None or self.rest == float("inf"):
            return torch.ones(len(images), dtype=torch.bool)
        now = self._gradient(state, images, way)
        if self.reference is None:
            return torch.zeros(len(images), dtype=torch.bool)
        return now <= self.rest * self.reference.cpu().double()[images]

    def see(self, k: int, state: State, images: Tensor, ending: Tensor) -> None:
        """Keep step k of the run, or not. `ending`: bool, the images that stop at this step."""
        if state.evaluation is None:
            return
        number, self._count = self._count, self._count + 1
        if self.reference is None:
            self.reference = self._gradient(state, images)
        self._latest = _Kept(k, number, images.clone(), state)
        if bool(ending.any()):
            places = ending.nonzero().flatten()
            own = state if len(places) == len(images) else _some(state, places.to(state.x.device))
            self._ends.append(_Kept(k, number, images[places], own))
        if self._chosen(number):
            self._kept.append(self._latest)
            if len(self._kept) > self._most(state) - 1:
                self._stride = max(4, 2 * self._stride)
                self._kept = [one for one in self._kept if self._chosen(one.number)]

    def let_go(self) -> None:
        """Forget the last evaluation, unless it was chosen: it was not the last one."""
        self._latest = None

    def of(self, image: int) -> Seen:
        """Evaluations of one image of the batch. Raises ValueError if there are none."""
        chosen, ends = self._with(image, self._kept), self._with(image, self._ends)
        if not ends and self._latest is not None:
            ends = self._with(image, [self._latest])
        if not ends:
            raise ValueError(
                f"no evaluation of image {image} was seen; an algorithm tells of them in the "
                "`evaluation` of its State (docs/adding/solver.md)"
            )
        chosen = [pair for pair in chosen if pair[0].step < ends[0][0].step] + ends
        return self._seen(chosen, image)

    def _with(self, image: int, kept: Sequence[_Kept]) -> list[tuple[_Kept, int]]:
        """Evaluations that hold the image, with its position there."""
        places = ((one, one.place(image)) for one in kept)
        return [(one, place) for one, place in places if place is not None]

    def _seen(self, chosen: Sequence[tuple[_Kept, int]], image: int) -> Seen:
        asked = [_asked(kept.state) for kept, _ in chosen]
        last, place = chosen[-1]
        reported = [
            None if e.value is None else float(_at(e.tau, p) * e.value[p])
            for e, (_, p) in zip(asked, chosen, strict=True)
        ]
        known = [r for r in reported if r is not None]
        gradients = [
            float(self._gradient(kept.state, kept.images)[p]) for kept, p in (chosen[0], chosen[-1])
        ]
        return Seen(
            v=[e.v[p] for e, (_, p) in zip(asked, chosen, strict=True)],
            x=[kept.state.x[p] for kept, p in chosen],
            point=[e.point[p] for e, (_, p) in zip(asked, chosen, strict=True)],
            values=torch.tensor(known, dtype=torch.float64) if len(known) == len(chosen) else None,
            misfits=torch.tensor(
                [float(kept.state.misfit[p]) for kept, p in chosen], dtype=torch.float64
            ),
            tau=float(_at(asked[-1].tau, place)),
            steps=[kept.step for kept, _ in chosen],
            evaluations=last.step - self._first_step() + 1,
            gradient=gradients[1],
            largest=gradients[0],
        )

    def _chosen(self, number: int) -> bool:
        """Whether an evaluation is kept: of every stride two that follow each other.

        Neighbours are nearest, and what a step does to the next is seen between them.
        """
        return number % self._stride < 2

    def _first_step(self) -> int:
        return self._kept[0].step

    def _gradient(self, state: State, images: Tensor, way: PerImage | None = None) -> PerImage:
        """|grad f(x) + (v - x) / tau| of each image, from above, float64 on the CPU.

        With v = point - tau grad f(point) it is (I - tau H) (point - x) / tau, H between 0 and L.
        """
        asked = _asked(state)
        step = distance(asked.point, state.x).cpu().double() if way is None else way
        tau = torch.as_tensor(asked.tau).cpu().double()
        bound = torch.as_tensor(self.lipschitz).cpu().double()
        bound = bound[images] if bound.ndim else bound
        return step * (tau * bound - 1).clamp(min=1.0) / tau

    def _most(self, state: State) -> int:
        each = 3 * state.x.numel() * state.x.element_size()
        return max(3, min(self.pairs, MOST_BYTES // max(each, 1)))


def moved(states: Sequence[State]) -> list[PerImage | None]:
    """Distance of each state's x from where f's gradient was taken, float64 [B] on the CPU.

    All are fetched at once; None for a state that tells of no evaluation.
    """
    told = [distance(s.evaluation.point, s.x) for s in states if s.evaluation is not None]
    fetched = iter(torch.stack(told).cpu().double() if told else ())
    return [None if s.evaluation is None else next(fetched) for s in states]


def _asked(state: State) -> Evaluation:
    assert state.evaluation is not None  # `see` keeps no other
    return state.evaluation


def _at(tau: float | PerImage, place: int) -> float | Tensor:
    return tau[place] if isinstance(tau, Tensor) and tau.ndim else tau


def _some(state: State, places: Tensor) -> State:
    """The state of those images alone, in memory of its own."""
    asked = _asked(state)
    chosen = Evaluation(*select(places, *asked))
    x, residual, misfit = select(places, state.x, state.residual, state.misfit)
    return State(x, residual, None, misfit, state.settled, None, chosen)
