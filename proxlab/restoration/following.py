"""Phases of one restoration, followed from outside as one run: by a bar, a function, or nobody.

    with Following(progress, most=400, label="restore") as follow:
        first = follow.run(descent, max_steps=23, tol=1e-12)
        last = follow.run(steps, max_steps=377, tol=1e-4)

A function is told the number of the step in the whole restoration. Where it ends the run, the
phases that are left take one step each, since what is proved is proved of the last one.
"""

from collections.abc import Generator
from contextlib import closing
from types import TracebackType

from torch import Tensor

import solvers
from solvers import Result
from solvers.progress import Follower, ends, fill, progress_bar
from solvers.protocols import Image, PerImage, State
from solvers.witness import Witness


class Following:
    """Followers of a restoration of `most` steps; a context, in which the bar is open."""

    def __init__(self, told: bool | Follower, most: int, label: str):
        """told: whether to draw a bar, or a function; TypeError for anything else."""
        self._follower = None if isinstance(told, bool) else told
        if self._follower is not None and not callable(self._follower):
            raise TypeError(
                "progress is True or False, or a function called as progress(k, x, residual), got "
                f"{type(told).__name__}"
            )
        self._bar = progress_bar(told is True, most, label=label)
        self.count = 0
        """Steps of the phases that are over."""
        self.ended = False
        """Whether the function has ended the run."""

    def __enter__(self) -> "Following":
        self._bar.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        place: TracebackType | None,
    ) -> None:
        if kind is None:
            fill(self._bar)
        self._bar.__exit__(kind, error, place)

    def step(self, x: Image, residual: PerImage) -> None:
        """Tell of a phase of one step that was run elsewhere."""
        self.count += 1
        self._bar.update()
        if self._follower is not None:
            self.ended = ends(self._follower(self.count, x.clone(), residual.clone()))

    def run(
        self,
        steps: Generator[State, Tensor | None, None],
        max_steps: int,
        tol: float | PerImage,
        rounding: float = 1e-6,
        witness: Witness | None = None,
    ) -> Result:
        """The next phase, as `solvers.run` runs it."""
        follower = None if self._follower is None else self._next
        result = solvers.run(
            self._counted(steps),
            max_steps=1 if self.ended else max_steps,
            tol=tol,
            rounding=rounding,
            progress=follower or False,
            witness=witness,
        )
        self.count += len(result.trace.residual)
        return result

    def _next(self, k: int, x: Image, residual: PerImage) -> bool:
        """The function's wish, which it need not repeat."""
        assert self._follower is not None
        wish = ends(self._follower(self.count + k, x, residual))
        self.ended = self.ended or wish
        return self.ended

    def _counted(
        self, steps: Generator[State, Tensor | None, None]
    ) -> Generator[State, Tensor | None, None]:
        """The same steps, each counted by the bar: no look at any image is needed for that."""
        index = None
        with closing(steps):
            while True:
                state = steps.send(index)
                self._bar.update()
                index = yield state
                del state  # which the driver may let go before the next one is made
