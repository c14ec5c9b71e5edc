"""How many cases the fuzzing tries: 500 in all by default, twenty times as many on demand.

    PROXLAB_FUZZ=long python -m pytest tests/robustness -m fuzz

The default cases are the same in every run. The long run draws others each time, makes what fails
small, and says how to draw it again.
"""

import os

from hypothesis import HealthCheck, Phase, settings

LONG = os.environ.get("PROXLAB_FUZZ") == "long"
TIMES = 20
"""Cases of a long run for each of the default."""


def tries(share: int) -> settings:
    """Settings of hypothesis for so many cases by default."""
    return settings(
        max_examples=share * (TIMES if LONG else 1),
        derandomize=not LONG,
        database=None,
        deadline=None,
        print_blob=LONG,
        phases=[Phase.generate, Phase.shrink] if LONG else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
