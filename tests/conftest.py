"""What several test files are handed by name."""

import os

# Before torch is imported, here and in the processes that tests start: two threads that share a
# core with any other program wait for each other, and the suite then takes ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import pytest  # noqa: E402


@pytest.fixture
def rng():
    return np.random.default_rng(0)
