"""The table of public functions that the fuzzing calls, and what a right answer of theirs is."""

from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st
from torch import Tensor

MODERATE = 1e4
"""Largest pixel up to which the answer has to be finite; beyond it may be too large for float32."""


class Target(NamedTuple):
    """A public function and how it is called."""

    calls: Callable[[st.DrawFn], Callable[[], object]]
    """Draws the arguments, and gives the call."""
    share: int
    """Calls of a default run."""
    with_it: tuple[str, ...] = ()
    """Other public names that the same calls need."""


TARGETS: dict[str, Target] = {}


def target(name: str, share: int = 8, with_it: str = ""):
    """Decorator: the function below draws calls of `name`, of `proxlab` or `solvers`."""

    def noted(calls: Callable[[st.DrawFn], Callable[[], object]]):
        TARGETS[name] = Target(calls, share, tuple(with_it.split()))
        return calls

    return noted


def keeps(x: Tensor, answer: object) -> object:
    """The answer, if it is an image like x and as finite; AssertionError otherwise."""
    assert isinstance(answer, Tensor)
    assert answer.shape == x.shape and answer.dtype == x.dtype
    if bool(x.isfinite().all()) and float(x.detach().abs().max()) <= MODERATE:
        assert bool(answer.isfinite().all()), "NaN or infinity, of an image without"
    return answer


def per_image(x: Tensor, answer: object) -> object:
    """The answer, if it has a number for each image of x; AssertionError otherwise."""
    assert isinstance(answer, Tensor) and answer.shape == x.shape[:1]
    return answer


NOT_CALLED = {
    "Adapted": "an answer",
    "DenoiserDiffusion": "tests/diffusion/test_mean_prox.py samples from a denoiser",
    "Evidence": "an answer",
    "Restoration": "an answer",
    "Audit": "an answer",
    "adapt": "the command is, in test_fuzz_commands.py",
    "audit": "the command is, in test_fuzz_commands.py",
    "compare": "the command is, in test_fuzz_commands.py",
    "images.LoadedImage": "an answer",
    "solvers.DataTerm": "a protocol",
    "solvers.Diverged": "an error",
    "solvers.HasProxAndValue": "a protocol",
    "solvers.HasValue": "a protocol",
    "solvers.Prior": "a protocol",
    "solvers.Result": "an answer",
    "solvers.Sample": "an answer",
    "solvers.Selectable": "a protocol",
    "solvers.Solution": "an answer",
    "solvers.Spectrum": "an answer",
    "solvers.State": "an answer",
    "solvers.Trace": "an answer",
}
"""Public names that are not called, and why."""
