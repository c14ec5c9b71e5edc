"""Calls of a data term's prox that conjugate gradients did not finish: said once, all counted."""

import warnings

from torch import Tensor

from proxlab.operators.contract import Missed
from solvers.protocols import Image, PerImage


def reported(
    so_far: list[Missed],
    residual: PerImage,
    images: Tensor,
    tol: float,
    steps: tuple[int, int],
    v: Image,
) -> None:
    """Add to `so_far` the images whose relative residual is above tol, if any; the first one warns.

    images: their places in the whole batch; steps: taken, and allowed; v: what the prox was of.
    """
    missed = residual > tol  # NaN is no miss: the driver sets its image aside
    if not missed.any():
        return
    most = float(residual[missed].max())
    if not so_far:
        taken, allowed = steps
        why = "max_steps" if taken >= allowed else f"rounding in {v.dtype}"
        warnings.warn(
            f"the prox of the data term stopped short of tol = {tol:g} at a relative residual of "
            f"{most:.1e} after {taken} steps, because of {why}; raise max_steps or tol, or take a "
            "smaller tau (said once, all are counted in stopped_short)",
            stacklevel=1,
        )
    so_far.append(Missed(most, tuple(images[missed].tolist())))
