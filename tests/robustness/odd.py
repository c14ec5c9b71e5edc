"""What the fuzzing hands over: mostly what is right, and of every kind of wrong a share.

Values are of the types that annotations allow, since a type checker finds the others; tensors are
of any shape, dtype and layout, as no checker sees those.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from proxlab.operators import ct, deblur, denoise, gaussian_kernel, inpaint, random_mask, superres

T = TypeVar("T")

NAN, INF = float("nan"), float("inf")
ODD_NUMBERS = (0.0, -0.0, -1.0, 1.0, 2.0, 255.0, NAN, INF, -INF, 1e-30, 1e30, 5e-324, 1e308, -1e-9)
SIZES = ((8, 8), (8, 8), (7, 9), (12, 13), (12, 5), (1, 1), (1, 6), (2, 2), (3, 3))
ODD_COUNTS = (0, -1, 1, 2, 3, 10**30)


def mostly(right: Sequence[T], odd: Sequence[T], times: int = 6) -> st.SearchStrategy[T]:
    """What is right, in so many draws for one of what is odd.

    `one_of` cannot do it: it drops what is in it twice.
    """
    weight = -(-times * len(odd) // len(right))
    return st.sampled_from([*right] * weight + [*odd])


def numbers(*right: float) -> st.SearchStrategy[float]:
    """Numbers, mostly right."""
    return mostly(right, ODD_NUMBERS)


def counts(*right: int) -> st.SearchStrategy[int]:
    """Counts, mostly right."""
    return mostly(right, ODD_COUNTS)


def words(*right: str) -> st.SearchStrategy[str]:
    """Words, mostly such as something bears."""
    return mostly(right, ("", "no-such", "../x", "NAN", "tv ", "\x00", "a:b", "é"))


@st.composite
def images(
    draw: st.DrawFn,
    channels: tuple[int, ...] = (1, 1, 1, 3),
    right: int = 7,
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> Tensor:
    """A small batch [B, C, H, W] in [0, 1]; in `right` of ten draws as usual, else odd."""
    size = draw(st.sampled_from(sizes))
    shape = (draw(st.sampled_from([1, 1, 2, 3])), draw(st.sampled_from(channels)), *size)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 3)))
    x = torch.rand(shape, generator=generator)
    if draw(st.sampled_from(range(10))) < right:
        return x.double() if draw(st.sampled_from(range(4))) == 0 else x
    return draw(st.sampled_from(ODD))(x)


def spoilt(value: float):
    """Puts a value into one pixel of the last image."""

    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[-1, ..., -1, -1] = value
        return x

    return change


ODD = [
    spoilt(NAN),
    spoilt(INF),
    spoilt(1e8),
    spoilt(-1e30),
    lambda x: x * 255,
    lambda x: x - 0.5,
    lambda x: x * 1e-30,
    lambda x: x * 0,
    lambda x: x * 0 + 0.5,
    lambda x: x * NAN,
    lambda x: (x * 255).to(torch.uint8),
    lambda x: x.long(),
    lambda x: x > 0.5,
    lambda x: x.half(),
    lambda x: x.bfloat16(),
    lambda x: x.to(torch.complex64),
    lambda x: x.requires_grad_(),
    lambda x: x.mT.contiguous().mT,
    lambda x: x[..., ::2],
    lambda x: x[:1].expand(2, -1, -1, -1),
    lambda x: x[0],
    lambda x: x[0, 0],
    lambda x: x[None],
    lambda x: x.flatten(),
    lambda x: x.sum(),
    lambda x: x[:0],
    lambda x: x[:, :0],
    lambda x: x[..., :0],
    lambda x: x.repeat(1, 2, 1, 1),
]
"""What can be wrong with an image, or merely unusual."""


@st.composite
def pairs(draw: st.DrawFn, sizes: Sequence[tuple[int, int]] = SIZES) -> tuple[Tensor, Tensor]:
    """Two images, of one shape and dtype in most draws."""
    x = draw(images(sizes=sizes))
    if draw(st.sampled_from(range(6))) and x.is_floating_point():
        return x, x / 2 + 0.1
    return x, draw(images())


@st.composite
def measured(draw: st.DrawFn):
    """An operator and an image of its size, most often in its order."""
    kind = draw(
        st.sampled_from(["deblur", "valid", "reflect", "inpaint", "ct", "superres", "denoise"])
    )
    noise = draw(st.sampled_from([0.05, 0.01, 0.0]))
    x = draw(images())
    if x.ndim == 4 and 0 not in x.shape and draw(st.sampled_from(range(10))):
        size = tuple(x.shape[-2:])
    else:
        size = (8, 8)
    if kind == "inpaint":
        generator = torch.Generator().manual_seed(draw(st.integers(0, 2)))
        missing = draw(st.sampled_from([0.0, 0.5])) if min(size) > 2 else 0.0
        op = inpaint(random_mask(size, missing, generator), noise)
    elif kind == "ct":
        op = ct(size, draw(st.sampled_from([1, 4])), noise)
    elif kind == "superres":
        op = superres(2, noise=noise)
    elif kind == "denoise":
        op = denoise(noise)
    else:
        kernel = gaussian_kernel(draw(st.sampled_from([0.1, 0.3])))
        op = deblur(kernel, noise, "circular" if kind == "deblur" else kind)
    return op, x


@st.composite
def arrays(draw: st.DrawFn, *right: np.ndarray) -> np.ndarray | Tensor:
    """One of the right arrays, as numpy or torch; in a share of draws made odd."""
    array = torch.from_numpy(draw(st.sampled_from(right))).clone()
    if draw(st.sampled_from(range(3))) == 0:
        odd = draw(st.sampled_from(ODD_ARRAYS))
        array = odd(array)
    return array.numpy() if draw(st.booleans()) and array.dtype != torch.bfloat16 else array


ODD_ARRAYS = [
    lambda a: a * NAN,
    lambda a: a * INF,
    lambda a: a * 0,
    lambda a: -a,
    lambda a: a * 1e30,
    lambda a: a.half(),
    lambda a: a.bfloat16(),
    lambda a: a.long(),
    lambda a: a > 0,
    lambda a: a.to(torch.complex64),
    lambda a: a[0],
    lambda a: a[:0],
    lambda a: a[None],
    lambda a: a[None, None],
    lambda a: a[:1],
    lambda a: a[:2, :2],
    lambda a: a.T,
    lambda a: a.sum(),
    lambda a: torch.cat([a] * 9, -1),
]
"""What can be wrong with a kernel or a mask."""
