"""What several test files are handed by name."""

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(0)
