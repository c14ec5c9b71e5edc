"""Line integrals from what a detector counts: flat and dark fields, minus the logarithm.

A ray whose detector counts n, and without an object and without X-rays counts flat and dark on
average, has the line integral -log((n - dark) / (flat - dark)) of attenuation. [Kak88, Sec. 4.1]
Divided by the attenuation that an image value of 1 has over a unit of length, that is what
`operators.ct` projects images to.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from proxlab.operators.arguments import real, said
from proxlab.operators.noise import LEAST_COUNT, PhotonCounts

Array = np.ndarray
BRIGHTER = 1.1
"""Ratio of counts to the flat field that no object leaves most rays above."""


class Sinogram(NamedTuple):
    """Line integrals, how far each is to be trusted, and what was replaced on the way.

    >>> counts = np.array([[1000.0, 500.0, 0.0], [1000.0, 250.0, 4.0]])
    >>> found = proxlab.operators.sinogram(counts, flat=1000.0, photons=1000.0)
    >>> found.noise.precision(found.y).round().int()[0, 0]   # the photons that each ray has counted
    tensor([[1000,  500,    0],
            [1000,  250,    4]], dtype=torch.int32)
    >>> found.dark_rays, found.notes
    (1, ('1 of 6 rays counted no more than the dark field and were taken ...',))
    """

    y: Tensor
    """Line integrals, float32 [S, 1, V, D], S = 1 of a single slice."""
    noise: PhotonCounts | None
    """Noise model for `operators.ct`, with the photons that were sent along each ray; None where
    nobody told how many."""
    dark_rays: int
    """Rays that counted no more than the dark field."""
    dead_rays: int
    """Rays of detectors whose flat field is no brighter than the dark one."""
    notes: tuple[str, ...]
    """Sentences on what was replaced, empty if nothing."""


def sinogram(
    counts: Any,
    flat: Any,
    dark: Any = 0.0,
    attenuation: float = 1.0,
    photons: float | None = None,
    least: float = LEAST_COUNT,
) -> Sinogram:
    """A sinogram from counts, -log((counts - dark) / (flat - dark)) / attenuation.

    counts: [V, D], or [S, V, D] of S slices, numpy or torch. flat, dark: those without an object
    and without X-rays, a number, [D] or [F, D] of F frames, of slices [S, D] or [F, S, D]; frames
    are averaged. attenuation: of an image value of 1, per unit of length. photons: sent along a
    ray, the mean over the detector, whose unevenness the flat field tells; then `noise` weighs each
    ray by what it has counted.
    A ray that counted no more than the dark field is taken to have counted `least` more, with
    photons `least` of them. A detector whose flat field is no brighter than the dark one saw
    nothing: its rays are interpolated from their neighbours, and weigh nothing where photons are
    told. Both are counted and said. Raises ValueError for other shapes, NaN or infinity, numbers
    that are not positive, a flat field that is nowhere brighter than the dark one, and counts most
    of which are above it.

    >>> x = torch.zeros(1, 1, 32, 32)
    >>> x[..., 8:20, 12:24] = 1
    >>> op = proxlab.operators.ct(32, angles=24)
    >>> flat, dark = np.linspace(900, 1100, op.scan.detectors), 20.0
    >>> counts = dark + (flat - dark) * np.exp(-0.05 * op.A(x)[0, 0].numpy())
    >>> found = proxlab.operators.sinogram(counts, flat, dark, attenuation=0.05, photons=1e4)
    >>> torch.allclose(found.y, op.A(x), atol=1e-3), found.notes
    (True, ())
    >>> op = proxlab.operators.ct(32, angles=24, noise=found.noise)   # weighs ray by ray
    """
    raw = _numbers("counts", counts)
    if raw.ndim not in (2, 3) or raw.size == 0:
        raise ValueError(
            f"counts are [views, detectors] or [slices, views, detectors], got {list(raw.shape)}"
        )
    for name, number in (("attenuation", attenuation), ("least", least)):
        _check_positive(name, number)
    if photons is not None:
        _check_positive("photons", photons)
    stack = raw if raw.ndim == 3 else raw[None]
    below = _field("dark", dark, raw.shape)
    sent = _field("flat", flat, raw.shape) - below
    dead = np.broadcast_to(sent <= 0, stack.shape)
    if dead.all():
        raise ValueError(
            "the flat field is nowhere brighter than the dark one; are they exchanged?"
        )
    counted = stack - below
    if np.median(counted - BRIGHTER * sent) > 0:
        raise ValueError(
            f"most rays counted over {BRIGHTER:g} times as much as the flat field; are counts and "
            "flat field exchanged, or in other units?"
        )
    level = float(np.mean(sent, where=sent > 0))
    # A count is as many photons in every detector: the flat field tells where fewer were sent.
    unit = 1.0 if photons is None else level / photons
    empty = (counted <= 0) & ~dead
    counted = np.where(empty | dead, least * unit, counted)
    y = -np.log(counted / np.where(sent > 0, sent, level)) / attenuation
    if dead.any():
        y = _between(y, dead)
    noise = None
    if photons is not None:
        rays = torch.from_numpy(np.clip(sent, 0, None) / unit).float()
        noise = PhotonCounts(rays[:, None], attenuation)
    notes = _notes(empty, dead, f"{least:g}{'' if photons is None else ' photons'}")
    lines = torch.from_numpy(y).float()[:, None]
    return Sinogram(lines, noise, int(empty.sum()), int(dead.sum()), notes)


def _field(name: str, field: Any, shape: tuple[int, ...]) -> Array:
    """A flat or dark field for counts [S, V, D], [S or 1, 1, D or 1]: frames averaged."""
    found = _numbers(name, field)
    slices, detectors = (1 if len(shape) == 2 else shape[0]), shape[-1]
    wanted = "a number, [D] or [F, D]" if len(shape) == 2 else "a number, [D], [S, D] or [F, S, D]"
    if (len(shape) == 2 and found.ndim == 2) or (found.ndim == 3 and len(shape) == 3):
        found = found.mean(0) if len(found) else found
    fits = found.shape in ((), (detectors,)) or (len(shape) == 3 and found.shape == shape[::2])
    if not fits:
        raise ValueError(
            f"{name} is {wanted} for counts of {slices} slices and {detectors} detectors, got "
            f"shape {list(np.shape(field))}"
        )
    return found.reshape(-1, 1, found.shape[-1] if found.ndim else 1)


def _between(y: Array, dead: Array) -> Array:
    """Values of dead rays, linear between their neighbours along the detector."""
    places = np.arange(y.shape[-1])
    rows, gone = y.reshape(-1, y.shape[-1]), dead.reshape(-1, y.shape[-1])
    filled = [
        np.interp(places, places[~g], row[~g]) if g.any() and not g.all() else row
        for row, g in zip(rows, gone, strict=True)
    ]
    return np.stack(filled).reshape(y.shape)


def _notes(empty: Array, dead: Array, taken: str) -> tuple[str, ...]:
    notes, rays = [], empty.size
    if empty.any():
        notes.append(
            f"{int(empty.sum())} of {rays} rays counted no more than the dark field and were taken "
            f"to have counted {taken}"
        )
    if dead.any():
        columns = int(dead.any((0, 1)).sum())
        notes.append(
            f"{columns} of {dead.shape[-1]} detectors are dead, their flat field no brighter than "
            "the dark one: their rays were interpolated from their neighbours"
        )
    return tuple(notes)


def _numbers(name: str, values: Any) -> Array:
    """float64; ValueError unless they are finite real numbers."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    try:
        found = np.asarray(values)
        if found.dtype.kind not in "iuf":
            raise TypeError
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} are numbers, got {type(values).__name__} {said(values)}"
        ) from None
    strange = int((~np.isfinite(found)).sum()) if found.dtype.kind == "f" else 0
    if strange:
        raise ValueError(f"{strange} of {found.size} values of {name} are NaN or infinite")
    return found.astype(np.float64)


def _check_positive(name: str, number: float) -> None:
    if not 0 < real(number) < np.inf:
        raise ValueError(f"{name} is positive and finite, got {said(number)}")
