"""The one driver: runs any algorithm of this package until every image has come to rest.

An image stops by itself: at the first step that is settled and whose residual is below tol, its
estimate is stored and never changes again. The images that go on are offered to the algorithm as a
smaller batch. It takes the offer if both f and g are `Selectable`. Otherwise it declines by going
on with the whole batch, whose stopped images are then ignored; the results are the same. An image
that blows up is set aside, filled with NaN, and the others go on as if it had not been there.
On other devices than a CPU this is decided ten steps at a time, to the same end (`account.looks`).
"""

from collections.abc import Callable, Generator
from contextlib import closing

import torch
from torch import Tensor

from solvers.account.looks import steps_at_once
from solvers.account.results import Result, Trace
from solvers.book import Book, Diverged
from solvers.progress import Follower, ends, progress_bar
from solvers.protocols import PerImage, State
from solvers.witness import Witness

__all__ = ["Diverged", "Result", "Trace", "run"]


def run(
    steps: Generator[State, Tensor | None, None],
    *,
    max_steps: int,
    tol: float | PerImage,
    rounding: float = 1e-6,
    progress: bool | Follower = False,
    watch: Callable[[int, State], object] | None = None,
    witness: Witness | None = None,
) -> Result:
    """Run an algorithm until every image has come to rest, and close it.

    max_steps: of each image, at most; tol: relative residual below which an image stops, or the
    duality gap over the objective where the algorithm computes one, a float or [B]; rounding:
    relative error that certificates forgive, see `certificate.Rounding`; with an iterative prox,
    raise it to the prox's accuracy; progress: whether to draw a bar, or a function called after
    each step as `progress(k, x, residual)`, which ends the run by returning True: see
    `progress.Follower`; watch: called as `watch(k, state)` after step k = 1, 2, ..., before
    anything is decided; once images have stopped, its state may hold the others only. witness:
    keeper of what the prior was asked, for `solvers.evidence`; with one an image stops only where
    the gradient of the objective is small too.

    Raises Diverged, with the step, where NaN, infinity or blow-up leaves no image of the batch;
    ValueError on max_steps < 1, tol <= 0 or what the algorithm itself refuses; TypeError where
    `progress` returns anything else than True, False or None.

    >>> from types import SimpleNamespace as Function
    >>> f = Function(value=lambda x: x.square().sum(1) / 2, grad=lambda x: x)
    >>> g = Function(value=lambda x: torch.zeros(len(x)), prox=lambda v, tau: v)
    >>> steps = solvers.pgd(f, g, torch.ones(1, 2), tau=0.5)
    >>> result = solvers.run(steps, max_steps=3, tol=1e-5, watch=lambda k, state: print(k, state.x))
    1 tensor([[0.5000, 0.5000]])
    2 tensor([[0.2500, 0.2500]])
    3 tensor([[0.1250, 0.1250]])
    >>> result.stopped, result.doubts
    (['max_steps'], ['residual 1.0e+00 above tol 1.0e-05'])
    """
    if max_steps < 1:
        raise ValueError(f"a run needs max_steps >= 1, got {max_steps}")
    if isinstance(tol, Tensor):
        tol = tol.cpu()  # where it is compared, in float64
    if not bool((torch.as_tensor(tol, dtype=torch.float64) > 0).all()):
        raise ValueError(f"a relative residual is compared with tol > 0, got tol = {tol}")
    book: Book | None = None
    index = state = None
    bar_wanted, follower = (progress, None) if isinstance(progress, bool) else (False, progress)
    each = watch is not None or follower is not None
    with closing(steps), progress_bar(bar_wanted, max_steps, leave=False) as bar:
        for k in range(1, max_steps + 1):
            if book is not None:
                book.let_go()
            state = None  # of large images a copy counts while the next step is taken
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
                book = Book(state, tol, witness, 1 if each else steps_at_once(state.x))
            index = book.enter(k, state, index)
            bar.update()
            if follower is not None and ends(follower(k, *book.now(state))):
                book.end()
                break
            if index is not None and len(index) == 0:
                break
    assert book is not None and state is not None
    return book.close(state, rounding)
