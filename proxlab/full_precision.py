"""Convolutions on a GPU in all of float32, where torch by default keeps ten bits of a number.

Those ten bits, TF32, are enough for a denoiser and too few for an exact prox: its value then is
not that of the point it returns, to 1e-3, and no restoration comes to rest at its tolerance.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision() -> Iterator[None]:
    """As a decorator or in a `with`; what was set before is set again afterwards."""
    conv = getattr(torch.backends.cudnn, "conv", None)  # since torch 2.9
    place, name, full = (
        (torch.backends.cudnn, "allow_tf32", False)
        if conv is None
        else (conv, "fp32_precision", "ieee")
    )
    before = getattr(place, name)
    setattr(place, name, full)
    try:
        yield
    finally:
        setattr(place, name, before)
