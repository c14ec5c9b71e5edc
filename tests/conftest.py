"""What several test files are handed by name."""

import os

# Before torch is imported, here and in the processes that tests start: two threads that share a
# core with any other program wait for each other, and the suite then takes ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def photos(tmp_path):
    """A folder of three colour photographs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(astronaut()[40 * i : 40 * i + 36, 200:240]).save(folder / f"{i}.png")
    return folder
