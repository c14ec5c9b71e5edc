"""Calls with numpy arrays: photographs as other libraries have them, and what is odd about them."""

import numpy as np
from hypothesis import strategies as st
from odd import images, measured, mostly, numbers
from prior_calls import priors
from targets import target

import proxlab
from proxlab.images.metrics import psnr

TURNED = [
    lambda a: a[0, 0],
    lambda a: a[0].transpose(1, 2, 0),
    lambda a: (255 * a[0, 0]).clip(0, 255).astype(np.uint8),
]
"""Arrays that are one image, of a measurement [B, C, H, W]."""
ODD = [
    lambda a: a,
    lambda a: a[0],
    lambda a: a.transpose(0, 2, 3, 1),
    lambda a: 255 * a[0, 0],
    lambda a: (255 * a[0, 0]).astype(np.uint16),
    lambda a: a[0, 0].astype(">f4"),
    lambda a: a[0, 0].astype(np.float16),
    lambda a: a[0, 0] > 0.5,
    lambda a: a[0, 0] * np.nan,
    lambda a: a[0, 0].astype(object),
    lambda a: a[0, 0].astype(str),
    lambda a: np.ma.masked_array(a[0, 0], a[0, 0] > 0.5),
    lambda a: np.broadcast_to(a[0, 0, :1], a.shape[2:]),
    lambda a: a[0, 0, ::-1].T,
    lambda a: a[0, 0, 0],
    lambda a: a[0, 0, 0, 0].reshape(()),
    lambda a: a[0, :, :0],
    lambda a: a[None],
]
turns = mostly(TURNED, ODD, 2)


@target("restore of an array", 30)
def _restore_array(draw):
    op, x = draw(measured())
    prior, turn, first = draw(priors), draw(turns), draw(st.one_of(st.none(), turns))
    steps, noise = draw(mostly((1, 3), (0,))), draw(st.one_of(st.none(), numbers(0.05)))
    followed = draw(st.sampled_from([False, lambda *_: None, lambda *_: True, lambda *_: "yes"]))

    def call():
        y = turn(op(x).detach().numpy())
        init = None if first is None else first(x.detach().numpy())
        words = {"steps": steps, "noise": noise, "init": init, "progress": followed}
        found = proxlab.restore(y, op, prior, **words)
        assert isinstance(found.image, np.ndarray)
        assert found.image.dtype == y.dtype.newbyteorder("=")
        assert found.image.ndim == y.ndim and np.isfinite(found.image).all()
        assert repr(found) and found._repr_html_()
        return found

    return call


@target("posterior of an array", 8)
def _posterior_array(draw):
    op, x = draw(measured())
    prior, turn = draw(priors), draw(turns)

    def call():
        y = turn(op(x).detach().numpy())
        post = proxlab.posterior(y, op, prior, 2, steps=1)
        assert isinstance(post.mean, np.ndarray) and post.mean.ndim == y.ndim
        assert post.std.shape == post.mean.shape and repr(post) and post._repr_html_()

    return call


@target("psnr of arrays", 8)
def _psnr_arrays(draw):
    x, one, other = draw(images()), draw(turns), draw(turns)

    def call():
        a = x.detach().float().numpy()
        assert len(psnr(one(a), other(a))) >= 1

    return call
