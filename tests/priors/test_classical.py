"""Classical priors: no batch is seen, no nonsense taken, and no prior at all changes nothing."""

import pytest
import torch
from skimage.data import camera

import proxlab
from proxlab.operators import deblur, gaussian_kernel
from proxlab.priors.classical import TV, Identity
from tests.images.pictures import image, relative

CLEAN = torch.from_numpy(camera()[96:137, 200:248]).float()[None, None] / 255


def test_a_restoration_does_not_see_its_batch():
    op = deblur(gaussian_kernel(1.0), 0.05)
    batch = torch.cat([0 * CLEAN + 0.5, CLEAN, CLEAN.flip(3)])
    y = op(batch, generator=torch.Generator().manual_seed(0))
    together = proxlab.restore(y, op, TV(), steps=2000, tol=1e-4)
    alone = proxlab.restore(y[2:], op, TV(), steps=2000, tol=1e-4)
    assert together.steps[2] == alone.steps[0] != together.steps[1]  # the batch was narrowed
    assert relative(together.image[2:], alone.image) < 1e-6


def test_no_prior_changes_nothing():
    v = image(2, 3, 4, 5)
    x, r = Identity().prox_and_value(v, 0.1)
    assert torch.equal(x, v) and r.tolist() == [0, 0] and torch.equal(Identity()(v, 0.1), v)


@pytest.mark.parametrize("prior", [TV(), Identity()], ids=["tv", "none"])
def test_nonsense_is_refused(prior):
    for call in (prior, prior.prox, prior.prox_and_value):
        with pytest.raises(ValueError, match="divide by 255"):
            call(CLEAN, 25.0)
        with pytest.raises(ValueError, match=r"\[B, C, H, W\]"):
            call(CLEAN[0], 0.1)
    with pytest.raises(ValueError, match="positive and finite, got 0"):
        TV(0.0)
