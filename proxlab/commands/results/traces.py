"""The trace of one image of a run, and its evidence, as JSON holds them."""

import math
from dataclasses import asdict
from typing import Any

from torch import Tensor

from proxlab.restoration import Restoration


def trace(result: Restoration, b: int = 0) -> dict[str, Any]:
    """Numbers of the run of image b of the batch."""

    def column(values: Tensor | None) -> list[float | None] | None:
        if values is None:
            return None
        return _plain(values[: int(result.steps[b]), b].tolist())

    return {
        "objective": column(result.trace.objective),
        "residual": column(result.trace.residual),
        "data_misfit": column(result.trace.data_misfit),
        "descent": result.descent,
        "sigma": float(result.sigma[b]),
        "stopped": result.stopped[b],
        "certified": result.certified[b],
        "doubt": result.doubts[b],
        "solver": result.solver,
        "noise": float(result.premises.noise[b]),
        "evidence": _plain(asdict(result.evidence[b])),
    }


def _plain(value: Any) -> Any:
    """The value as JSON holds it: None in place of NaN and of infinity, one evaluation's margin."""
    match value:
        case dict():
            return {key: _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case float() if not math.isfinite(value):
            return None
    return value
