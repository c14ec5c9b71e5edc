"""Averages as a person types them: `0.3*gs-unet+0.7*lpn-gray`, or `gs-unet+lpn-gray` for halves."""

from pathlib import Path

WEIGHTS = 1e-6
"""Distance of a sum of weights from 1 that is rounding."""


def average_of(name: str | Path) -> list[tuple[float, str]]:
    """Weights and names of an average; empty for a name of one prior, and for a file there is.

    Names without any weight weigh alike. Raises ValueError where some have one and some none, and
    for weights that are no positive numbers or do not sum to 1.

    >>> from proxlab.priors.averages.names import average_of
    >>> average_of("0.3*gs-unet+0.7*lpn-gray"), average_of("lpn-gray")
    ([(0.3, 'gs-unet'), (0.7, 'lpn-gray')], [])
    >>> average_of("2*gs-unet+lpn-gray")
    Traceback (most recent call last):
        ...
    ValueError: an average is typed as 0.3*gs-unet+0.7*lpn-gray or gs-unet+lpn-gray, ...
    """
    text = str(name)
    if "+" not in text or Path(text).exists():
        return []
    parts = [part.strip().rpartition("*") for part in text.split("+")]
    names = [one.strip() for _, _, one in parts]
    told = [weight.strip() for weight, _, _ in parts]
    try:
        weights = [float(w) for w in told] if any(told) else [1 / len(parts)] * len(parts)
    except ValueError:
        weights = []
    right = all(w > 0 for w in weights) and abs(sum(weights) - 1) <= WEIGHTS
    if not right or not all(names):
        raise ValueError(
            "an average is typed as 0.3*gs-unet+0.7*lpn-gray or gs-unet+lpn-gray, with weights for "
            f"all or for none, positive and of sum 1, got {text!r}"
        )
    return list(zip(weights, names, strict=True))
