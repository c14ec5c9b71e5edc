"""The one driver: runs any algorithm of this package until every image has come to rest.

An image stops by itself: at the first step that is settled and whose residual is below tol, its
estimate is stored and never changes again. The images that go on are offered to the algorithm as a
smaller batch. It takes the offer if both f and g are `Selectable`. Otherwise it declines by going
on with the whole batch, whose stopped images are then ignored; the results are the same.
"""

import math
from collections.abc import Callable, Generator
from contextlib import closing
from typing import NamedTuple

import torch
from torch import Tensor

from solvers.certificate import Rounding, doubts
from solvers.progress import progress_bar
from solvers.protocols import Image, State, norm
from solvers.witness import Witness

LOOK_EVERY = 10
"""Steps between two looks at the size of the iterates, which cost a pass over memory."""
BLOW_UP = 1e6
"""An image this many times larger than at the first step, or than all ones, has blown up."""


class Diverged(RuntimeError):  # noqa: N818  (a public name)
    """Error of a run whose iterates or objective left every bound.

    `step` counts from 1; `images` are positions in the batch, from 0.
    """

    def __init__(self, what: str, step: int, images: list[int]):
        self.step, self.images = step, images
        names = ", ".join(map(str, images))
        super().__init__(f"{what} at step {step} in image {names} of the batch; try a smaller tau")


class Trace(NamedTuple):
    """Measurements after each step: float64 [K, B] on the CPU, NaN once an image has stopped."""

    objective: Tensor | None
    """Value of what the algorithm minimises; None if the prior has no value."""
    residual: Tensor
    data_misfit: Tensor
    """f at the estimate."""
    merit: Tensor | None = None
    """Value of what the algorithm's theorem makes fall: `State.merit`, or the objective."""
    gap: Tensor | None = None
    """Duality gap, where the algorithm computes one."""


class Result(NamedTuple):
    """Result of a run; lists and [B] are in the order of the batch."""

    x: Image
    steps: Tensor
    """Steps that each image took, int64 [B]."""
    stopped: list[str]
    """End of each image's run: "tolerance" or "max_steps"."""
    trace: Trace
    certified: list[bool]
    """Whether the duality gap ended below tol; of an algorithm without one, whether the objective
    is known, neither it nor the merit ever rose after the schedule, and the residual ended below
    tol. Whether tau was within what is proved, `solvers.conditions` tells, and whether the prior's
    prox was one, `solvers.evidence`."""
    doubts: list[str]
    """Reasons why an image is not certified; empty if it is."""


def run(
    steps: Generator[State, Tensor | None, None],
    *,
    max_steps: int,
    tol: float,
    rounding: float = 1e-6,
    progress: bool = False,
    watch: Callable[[int, State], object] | None = None,
    witness: Witness | None = None,
) -> Result:
    """Run an algorithm until every image has come to rest, and close it.

        result = run(pgd(f, g, x, tau=0.5), max_steps=200, tol=1e-5)

    max_steps: of each image, at most; tol: relative residual below which an image stops, or the
    duality gap over the objective where the algorithm computes one; rounding: relative error that
    certificates forgive, see `certificate.Rounding`; with an iterative prox, raise it to the prox's
    accuracy; progress: draw a bar if stderr is a terminal; watch: called as
    `watch(k, state)` after step k = 1, 2, ..., before anything is decided; once images have
    stopped, its state may hold the others only. witness: keeper of what the prior was asked, for
    `solvers.evidence`; with one an image stops only where the gradient of the objective is small
    too.

    Raises Diverged, with the step, on NaN, infinity or blow-up; ValueError on max_steps < 1,
    tol <= 0 or what the algorithm itself refuses.
    """
    if max_steps < 1:
        raise ValueError(f"a run needs max_steps >= 1, got {max_steps}")
    if not tol > 0:
        raise ValueError(f"a relative residual is compared with tol > 0, got tol = {tol}")
    book: _Book | None = None
    index = None
    with closing(steps), progress_bar(progress, max_steps, leave=False) as bar:
        for k in range(1, max_steps + 1):
            try:
                state = steps.send(index)
            except StopIteration:
                raise ValueError(
                    f"the algorithm ended by itself after {k - 1} steps; "
                    "run drives endless generators, make a new one for each run"
                ) from None
            if watch is not None:
                watch(k, state)
            if book is None:
                book = _Book(state, witness)
            index = book.enter(k, state, index, tol)
            bar.update()
            if index is not None and len(index) == 0:
                break
    assert book is not None
    return book.close(state, tol, rounding)


class _Book:
    """Account of a run: who is in the generator's batch, who still runs, all that was measured."""

    def __init__(self, first: State, witness: Witness | None = None):
        self.witness = witness
        count = first.x.shape[0]
        measured = {
            "residual": first.residual,
            "misfit": first.misfit,
            "objective": first.objective,
            "merit": first.merit,
            "gap": first.gap,
        }
        self.names = [name for name, value in measured.items() if value is not None]
        for name, value in measured.items():
            if value is not None and value.shape != (count,):
                raise ValueError(
                    f"the {name} has one entry per image, expected shape [{count}], got "
                    f"{list(value.shape)}; sum over the pixels of each image, not over the batch"
                )
        self.x = torch.empty_like(first.x)
        self.steps = torch.zeros(count, dtype=torch.int64)
        self.stopped = ["max_steps"] * count
        self.settled_at: int | None = None
        self.rows: list[Tensor] = []
        self.batch = torch.arange(count)
        """Image held at each position of the generator's batch."""
        self.running = torch.ones(count, dtype=torch.bool)
        """Whether the image at each position still runs."""
        self.complete = True
        """Whether all images of the original batch still run."""
        self.limit = BLOW_UP * norm(first.x.detach()).clamp(min=first.x[0].numel() ** 0.5)

    def enter(self, k: int, state: State, offered: Tensor | None, tol: float) -> Tensor | None:
        """Write down step k and stop whom it stops; the positions to offer, if those changed."""
        size = state.x.shape[0]
        if offered is not None and size == len(offered):
            offered = offered.cpu()
            self.batch, self.running = self.batch[offered], self.running[offered]
        assert size == len(self.batch), "a batch may only change as offered"
        # one table, so that a GPU is waited for once a step
        known = [state.residual, state.misfit, state.objective, state.merit, state.gap]
        table = torch.stack([v.double() for v in known if v is not None]).detach().cpu()
        numbers = table.tolist()  # on so few of them Python is quicker than torch
        if k % LOOK_EVERY == 0 or not math.isfinite(sum(map(sum, numbers))):
            self._refuse_divergence(k, state, table)
        self.rows.append(table if self.complete else self._spread(table))
        if not state.settled:
            return None
        self.settled_at = self.settled_at or k
        done = (self._short_of_rest(table) < tol) & self.running
        if self.witness is not None:
            if done.any():
                done &= self.witness.resting(state, self.batch)
            self.witness.see(k, state, self.batch, done)
        if not done.any():
            return None
        self.complete = False
        self._store(state.x, done)
        self.steps[self.batch[done]] = k
        for image in self.batch[done].tolist():
            self.stopped[image] = "tolerance"
        self.running &= ~done
        return self.running.nonzero().flatten().to(state.x.device)

    def close(self, last: State, tol: float, rounding: float) -> Result:
        """The result, with the images that still run at their estimate of the last step."""
        self._store(last.x, self.running)
        self.steps[self.batch[self.running]] = len(self.rows)
        table = torch.stack(self.rows)
        column = {name: table[:, row].clone() for row, name in enumerate(self.names)}
        objective, misfit = column.get("objective"), column["misfit"]
        merit = column.get("merit", objective)
        trace = Trace(objective, column["residual"], misfit, merit, column.get("gap"))
        why = []
        for b, k in enumerate(self.steps.tolist()):
            reached = float(self._short_of_rest(table[k - 1])[b])
            if trace.gap is not None:
                words = "" if reached < tol else f"duality gap {reached:.1e} above tol {tol:.1e}"
            else:
                words = doubts(
                    None if objective is None else objective[:k, b],
                    reached,
                    settled_at=self.settled_at,
                    tol=tol,
                    rounding=Rounding(rounding),
                    merit=None if "merit" not in column else column["merit"][:k, b],
                    misfit=misfit[:k, b],
                )
            why.append(words)
        return Result(self.x, self.steps, self.stopped, trace, [not w for w in why], why)

    def _short_of_rest(self, table: Tensor) -> Tensor:
        """Number that is compared with tol, [B]: the relative duality gap, or the residual."""
        if "gap" not in self.names:
            return table[0]
        gap, objective = table[self.names.index("gap")], table[self.names.index("objective")]
        return gap / objective.abs().clamp(min=1e-300)

    def _spread(self, table: Tensor) -> Tensor:
        row = table.new_full((len(table), len(self.steps)), math.nan)
        row[:, self.batch[self.running]] = table[:, self.running]
        return row

    def _store(self, x: Image, chosen: Tensor) -> None:
        at = chosen.nonzero().flatten()
        self.x[self.batch[at].to(x.device)] = x[at.to(x.device)]

    def _refuse_divergence(self, k: int, state: State, table: Tensor) -> None:
        bad = ~table[: len(table) - (state.gap is not None)].isfinite().all(0) & self.running
        if bad.any():
            raise Diverged("residual or objective not finite", k, self.batch[bad].tolist())
        limit = self.limit[self.batch.to(state.x.device)]
        bad = (norm(state.x.detach()) > limit).cpu() & self.running
        if bad.any():
            raise Diverged(f"iterates grew {BLOW_UP:.0e}-fold", k, self.batch[bad].tolist())
