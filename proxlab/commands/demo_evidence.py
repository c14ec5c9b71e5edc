"""Evidence of a restoration in words: what its run proves, and by which numbers.

for line in in_words(result):
    print(line)
"""

from math import isinf

from proxlab.restoration import Restoration
from solvers.witness import REST

ALLOWED = f"{100 * REST:g} %"
"""Largest gradient at rest, of that at the start."""


def in_words(result: Restoration) -> list[str]:
    """Sentences on the evidence of the first image, each a number and what it was compared with."""
    seen = result.evidence[0]
    if seen.gap is not None:
        return [f"its objective is within {_percent(seen.gap)} of the least there is (duality gap)"]
    if seen.margin is None or seen.gradient is None:
        return []
    margins = [m for m in (seen.margin, seen.value_margin) if m is not None]
    answers = f"{seen.looked_at} answers of the network"
    if seen.looked_at < seen.evaluations:
        answers = f"{seen.looked_at} of {seen.evaluations} answers of the network"
    values = ", and the values it reports are R's" if seen.value_margin is not None else ""
    said = [f"{answers} are the prox of one R{values}: margin {min(margins):.2g} (needs 0)"]
    if seen.step is not None and seen.step_limit is not None:
        bound = "any will do" if isinf(seen.step_limit) else f"needs < {seen.step_limit:g}"
        name = result.solver.upper()
        said.append(f"{name} converges at this step: tau L = {seen.step:.2f} ({bound})")
    if seen.objective_fall is not None:
        low, high = (f"{fall:,.0f}" for fall in seen.objective_fall)
        fall = f"by {low}" if low == high else f"by between {low} and {high}"
        said.append(f"the objective, misfit + R / tau, fell {fall}")
    left = _percent(seen.gradient)
    said.append(f"at rest: gradient {left} of the first (limit {ALLOWED})")
    return said


def in_short(result: Restoration) -> str:
    """The verdict on the first image in a line of a table."""
    seen = result.evidence[0]
    if not result.certified[0]:
        return f"no: {result.doubts[0]}"
    if seen.gap is not None:
        return f"yes: within {_percent(seen.gap)} of the least objective"
    margins = [m for m in (seen.margin, seen.value_margin) if m is not None]
    return (
        f"yes: one prox in {seen.looked_at} of {seen.evaluations} answers, margin "
        f"{min(margins):.2g}; gradient {_percent(seen.gradient or 0.0)}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
