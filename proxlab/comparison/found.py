"""Figures of a restoration for the row of a comparison, and its curves for the page."""

import math
from typing import Any

from torch import Tensor

from proxlab.restoration import Restoration


def found(result: Restoration) -> dict[str, Any]:
    """Figures that the solver reports, at its last step.

    The objective is misfit + R / sigma^2, from which the prior's value follows; that of `hqs` has
    the splitting energy in it as well, so there the value is None.
    """
    last, evidence = int(result.steps[0]) - 1, result.evidence[0]
    misfit, objective, value = float(result.trace.data_misfit[last, 0]), None, None
    sigma = float(result.sigma[0])
    if result.trace.objective is not None:
        objective = float(result.trace.objective[last, 0])
        value = None if result.solver == "hqs" else (objective - misfit) * sigma**2
    return {
        "sigma": sigma,
        "misfit": misfit,
        "prior_value": value,
        "objective": objective,
        "residual": float(result.trace.residual[last, 0]),
        "iterations": int(result.steps[0]),
        "stopped": result.stopped[0],
        "certified": result.certified[0],
        "doubt": result.doubts[0],
        "proof": evidence.brief,
        "solved_by": result.solver,
        "margin": evidence.margin,
        "value_margin": evidence.value_margin,
        "tau_lipschitz": evidence.step,
        "gradient_left": evidence.gradient,
        "gap": evidence.gap,
        "adjoint_error": evidence.adjoint_error,
    }


def curves(result: Restoration) -> dict[str, Any]:
    """Curves of a restoration for the page.

    Objective (None for a prior without a value) and residual, a number a step, None where it is
    not finite, and the number of steps of the descent.
    """
    last, trace = int(result.steps[0]), result.trace

    def finite(values: Tensor) -> list[float | None]:
        return [x if math.isfinite(x) else None for x in values[:last, 0].tolist()]

    return {
        "descent": result.descent,
        "objective": None if trace.objective is None else finite(trace.objective),
        "residual": finite(trace.residual),
    }
