"""The account of a run: what was measured at each step, which images stopped, and how.

book = Book(state, tol, at_once=1)    # of the first step; steps that are judged at once
index = book.enter(k, state, index)   # step k; the positions that go on, where those changed
book.close(state, rounding)           # the result
"""

import math

import torch
from torch import Tensor

from solvers.account.looks import LOOK_EVERY, Look, looks
from solvers.account.results import Result, Trace
from solvers.certificate import Rounding, doubts
from solvers.protocols import Image, PerImage, State, norm
from solvers.witness import Witness, moved

BLOW_UP = 1e6
"""An image this many times larger than at the first step, or than all ones, has blown up."""
REMEDY = "try a smaller tau, sigma^2 of a restoration"


class Diverged(RuntimeError):  # noqa: N818  (a public name)
    """Error of a run whose iterates or objective left every bound, in every image of the batch.

    `step`, that of the last one, counts from 1; `images` are positions in the batch, from 0.

    >>> from types import SimpleNamespace as Function
    >>> f = Function(value=lambda x: 50 * x.square().sum(1), grad=lambda x: 100 * x)
    >>> g = Function(prox=lambda v, tau: v)
    >>> solvers.run(solvers.pgd(f, g, torch.ones(1, 2), tau=1.0), max_steps=100, tol=1e-5)
    Traceback (most recent call last):
        ...
    solvers.book.Diverged: residual or objective not finite at step 10 in image 0 ...
    """

    def __init__(self, what: str, step: int, images: list[int]):
        self.step, self.images = step, images
        names = ", ".join(map(str, images))
        super().__init__(f"{_diverged(what, step)} in image {names} of the batch; {REMEDY}")


class Book:
    """Account of a run: who is in the generator's batch, who still runs, all that was measured."""

    def __init__(
        self, first: State, tol: float | PerImage, witness: Witness | None = None, at_once: int = 1
    ):
        self.witness, self.at_once = witness, at_once
        self.waiting: list[tuple[int, State]] = []
        """Steps that are still to be judged."""
        count = first.x.shape[0]
        each = torch.as_tensor(tol, dtype=torch.float64).cpu()
        if each.shape not in ((), (count,)):
            raise ValueError(f"tol is a float or [B], B = {count}, got {list(each.shape)}")
        self.tol = each.expand(count)
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
        self.shape = first.x.shape
        self.x: Image | None = None
        self.steps = torch.zeros(count, dtype=torch.int64)
        self.stopped = ["max_steps"] * count
        self.lost: dict[int, str] = {}
        """Sentence on each image that diverged."""
        self.settled_at: int | None = None
        self.rows: list[Tensor] = []
        self.batch = torch.arange(count)
        """Image held at each position of the generator's batch."""
        self.running = torch.ones(count, dtype=torch.bool)
        """Whether the image at each position still runs."""
        self.complete = True
        """Whether all images of the original batch still run."""
        self.limit = BLOW_UP * norm(first.x.detach()).cpu().clamp(min=first.x[0].numel() ** 0.5)

    def enter(self, k: int, state: State, offered: Tensor | None) -> Tensor | None:
        """Write down step k and stop whom it stops; the positions to offer, if those changed."""
        size = state.x.shape[0]
        if offered is not None and size == len(offered):
            offered = offered.cpu()
            self.batch, self.running = self.batch[offered], self.running[offered]
        assert size == len(self.batch), "a batch may only change as offered"
        self.waiting.append((k, state))
        changed = len(self.waiting) >= self.at_once and self._look()
        return self.running.nonzero().flatten().to(state.x.device) if changed else None

    def _look(self) -> bool:
        """Judge all steps that wait, the earliest first; whether that stopped an image."""
        found, self.waiting = looks(self.waiting), []
        tol = self.tol[self.batch]
        resting = [bool((self._short_of_rest(look.table) < tol).any()) for look in found]
        ways = [None] * len(found)
        if self.witness is not None and any(resting):
            ways = moved([look.state for look in found])
        changed = False
        for each in zip(found, ways, strict=True):
            if not self.running.any():
                break  # these steps were taken after all had come to rest
            changed |= self._judge(*each)
        return changed

    def _judge(self, look: Look, way: PerImage | None) -> bool:
        """Write down one step; whether it stopped an image. `way`: see `Witness.resting`."""
        k, state, table, size = look
        numbers = table.tolist()  # on so few of them Python is quicker than torch
        lost = torch.zeros_like(self.running)
        if k % LOOK_EVERY == 0 or not math.isfinite(sum(map(sum, numbers))):
            lost = self._set_aside(k, state, table, size)
        self.rows.append(table if self.complete else self._spread(table))
        self._end(k, lost)
        done = torch.zeros_like(lost)
        if state.settled:
            self.settled_at = self.settled_at or k
            done = (self._short_of_rest(table) < self.tol[self.batch]) & self.running
            if self.witness is not None:
                if done.any():
                    done &= self.witness.resting(state, self.batch, way)
                self.witness.see(k, state, self.batch, done)
            if done.any():
                self._store(state.x, done)
                for image in self.batch[done].tolist():
                    self.stopped[image] = "tolerance"
                self._end(k, done)
        return bool((lost | done).any())

    def now(self, state: State) -> tuple[Image, PerImage]:
        """Estimates of all images after the step just entered, a copy, and their residuals [B].

        Those that ended are as they ended, their residual NaN. Steps must not wait for a look.
        """
        x, running = self._ended(state.x).clone(), self.running.nonzero().flatten()
        x[self.batch[running].to(x.device)] = state.x[running.to(x.device)]
        return x, self.rows[-1][self.names.index("residual")].clone()

    def let_go(self) -> None:
        """Keep nothing of the last step that is not evidence for good: another one comes."""
        if self.witness is not None and not self.waiting:
            self.witness.let_go()

    def end(self) -> None:
        """Note that whoever follows the run has ended it for all images that still run."""
        for image in self.batch[self.running].tolist():
            self.stopped[image] = "callback"

    def close(self, last: State, rounding: float) -> Result:
        """The result, with the images that still run at their estimate of the last step."""
        self._look()
        self._store(last.x, self.running)
        self.steps[self.batch[self.running]] = len(self.rows)
        table = torch.stack(self.rows)
        column = {name: table[:, row].clone() for row, name in enumerate(self.names)}
        objective, misfit = column.get("objective"), column["misfit"]
        merit = column.get("merit", objective)
        trace = Trace(objective, column["residual"], misfit, merit, column.get("gap"))
        why = []
        for b, k in enumerate(self.steps.tolist()):
            reached, tol = float(self._short_of_rest(table[k - 1])[b]), float(self.tol[b])
            if b in self.lost:
                words = self.lost[b]
            elif trace.gap is not None:
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
        return Result(
            self._ended(last.x), self.steps, self.stopped, trace, [not w for w in why], why
        )

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
        ended = self._ended(x)
        if len(at) == len(x):  # as of a single image: no copy on the way
            ended[self.batch.to(x.device)] = x
        else:
            ended[self.batch[at].to(x.device)] = x[at.to(x.device)]

    def _ended(self, like: Image) -> Image:
        """Estimates of the images that have ended, of which there are none before one has."""
        if self.x is None:
            self.x = like.new_empty(self.shape)
        return self.x

    def _end(self, k: int, chosen: Tensor) -> None:
        """Let the images at these positions run no further than step k."""
        if chosen.any():
            self.complete = False
            self.steps[self.batch[chosen]] = k
            self.running &= ~chosen

    def _set_aside(self, k: int, state: State, table: Tensor, size: PerImage | None) -> Tensor:
        """Positions of images that have diverged, bool; they are filled with NaN.

        Raises Diverged if they leave none of the batch.
        """
        strange = ~table[: len(table) - (state.gap is not None)].isfinite().all(0) & self.running
        size = norm(state.x.detach()).cpu() if size is None else size
        grown = (size > self.limit[self.batch]) & self.running & ~strange
        lost, what = strange | grown, ""
        for bad, what_of in (
            (strange, "residual or objective not finite"),
            (grown, f"iterates grew {BLOW_UP:.0e}-fold"),
        ):
            for image in self.batch[bad].tolist():
                what, self.stopped[image] = what_of, "diverged"
                self.lost[image] = f"{_diverged(what_of, k)}; {REMEDY}"
                self._ended(state.x)[image] = math.nan
        if lost.any() and len(self.lost) == len(self.steps):
            raise Diverged(what, k, sorted(self.lost))
        return lost


def _diverged(what: str, step: int) -> str:
    return f"{what} at step {step}"
