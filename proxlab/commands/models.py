"""`proxlab models`: every prior and model by its name, what it is and how good."""

import argparse

from proxlab.checkpoints import models
from proxlab.priors.classical import CLASSICAL

OTHERS = {
    "bm3d": "BM3D, with pip install 'proxlab[bm3d]'",
    "deepinv:NAME": "pretrained DRUNet, GSDRUNet, FFDNet or DnCNN of deepinv, or NAME-color; those "
    "whose sha256 is not known here by --allow-weights",
}
"""Names of priors that others made, which `proxlab.load` knows too."""
FIGURES = {
    "held_out_psnr": "held-out PSNR {} dB at noise {} of 255",
    "held_out_completed": "held-out PSNR, filled in, {} dB with {}",
}
"""Entry of a card -> its values and their keys in words."""


def list_models(args: argparse.Namespace) -> None:
    """Print them."""
    for name, what in ({name: row.what for name, row in CLASSICAL.items()} | OTHERS).items():
        print(f"{name:16s} {what}")
    for name, card in models().items():
        print(f"{name:16s} {card.get('what', '')}; {card['parameters']:,} parameters")
        print(
            "; ".join([f"{'':16s} trained on {card.get('data', 'unknown data')}", *in_words(card)])
        )


def in_words(card: dict) -> list[str]:
    """The figures of a model's card in words.

    >>> from proxlab.commands.models import in_words
    >>> in_words({"held_out_psnr": {"5": 37.56, "25": 28.3}})
    ['held-out PSNR 37.56 / 28.30 dB at noise 5 / 25 of 255']
    """
    found = []
    for key, said in FIGURES.items():
        if figures := card.get(key):
            values = " / ".join(f"{v:.2f}" for v in figures.values())
            found.append(said.format(values, " / ".join(figures)))
    return found
