"""Model files: weights as safetensors beside a JSON that says what they are. No code is executed.

    path = save("mine", model, {"what": "a test"})      # mine.safetensors and mine.json
    prior = load(path)                                  # or load("lpn-gray"), load("tv")

The JSON, the card of a model, holds the architecture, the noise levels, how the model was trained,
its figures, and the sha256 of the weights, which is checked at loading. `model_kinds.KINDS` has a
row for every kind of model.
"""

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from proxlab.diffusion.digit_classifier import DigitClassifier
from proxlab.diffusion.models import DiffusionModel
from proxlab.diffusion_prior import DiffusionPrior
from proxlab.images.files import as_json, writing
from proxlab.model_kinds import KINDS, USES, Use
from proxlab.priors.averages.average import AveragePrior
from proxlab.priors.averages.names import average_of
from proxlab.priors.classical import CLASSICAL
from proxlab.priors.contract import Prior
from proxlab.priors.deepinv_denoisers import bm3d, pretrained
from proxlab.priors.lpn.network import LPN

SHIPPED = Path(__file__).parent / "weights"
FOREIGN = "deepinv"
"""Word before the colon in the names of deepinv's pretrained networks."""


def save(path: str | Path, model: nn.Module, about: dict, overwrite: bool = False) -> Path:
    """Write `path`.safetensors and `path`.json; `about` is added to the JSON. Returns the former.

    Both are written before either is put in its place, the JSON last: weights without one are not
    a model, so an interrupt leaves no half of one.
    Raises TypeError for a model of no kind in `KINDS`, FileExistsError for files that are there
    already unless told to `overwrite` them.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/mine"
    >>> path = proxlab.checkpoints.save(path, proxlab.load("lpn-gray-small"), {"data": "my own"})
    >>> path.name, type(proxlab.load(path)).__name__
    ('mine.safetensors', 'LPN')
    """
    from safetensors.torch import save as to_bytes

    part: Any = model.potential if isinstance(model, LPN) else model
    rows = (kind for kind, row in KINDS.items() if type(part) is row.network)
    kind = next((kind for kind in rows if type(part.config) is KINDS[kind].config), None)
    if kind is None:
        raise TypeError(f"{type(part).__name__} has no row in proxlab.model_kinds.KINDS; add one")
    path = Path(path).with_suffix(".safetensors")
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    weights = to_bytes(tensors)
    card = {
        "kind": kind,
        "architecture": asdict(part.config),
        **KINDS[kind].beside(model),
        "parameters": sum(p.numel() for p in model.parameters()),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    told = path.with_suffix(".json")
    text = as_json(told, card | about)
    with writing(told, overwrite) as second, writing(path, overwrite) as first:
        first.write_bytes(weights)
        second.write_text(text, encoding="utf-8")
    return path


def load(name: str | Path, sha256: str | Collection[str] = ()) -> Prior:
    """A prior by name, or by the path of a .safetensors file.

        load("lpn-gray")            # a shipped model; `models` lists them
        load("tv")                  # classical: also "wavelets", "none"; "bm3d" with its package
        load("deepinv:DnCNN")       # a pretrained network of deepinv, DnCNN-color for colour
        load("0.3*gs-unet+0.7*lpn-gray")   # an `AveragePrior`; without weights, alike

    An unconstrained network (`UNetDenoiser`, `CrateDenoiser`) is a denoiser without a value, and
    so is a diffusion model, which takes images of its own size alone (`DiffusionPrior`).
    sha256: of a file of weights that is let in although others wrote it; for networks of deepinv
    whose own sha256 is not known here (`proxlab.priors.deepinv_denoisers`).

    Raises ValueError for an unknown name, and for a file that is not a prior of this package, is
    corrupted, or does not match its JSON; of foreign weights, for a file of another sha256.

    >>> proxlab.load("lpn-gray").sigma_range == (1 / 255, 75 / 255)   # learned; see proxlab.models
    True
    >>> proxlab.load("tv").capabilities.convex   # also "wavelets", "none"; "bm3d" with its package
    True
    >>> proxlab.load("lpn-grey")
    Traceback (most recent call last):
        ...
    ValueError: no prior is called 'lpn-grey'; known are tv, wavelets, none, ...
    """
    parts = average_of(name)
    if parts:
        return AveragePrior([w for w, _ in parts], [load(one, sha256) for _, one in parts])
    if name in CLASSICAL:
        return CLASSICAL[str(name)].make()
    place, colon, rest = str(name).partition(":")
    if name == "bm3d" or (place == FOREIGN and colon):
        allowed = [sha256] if isinstance(sha256, str) else sha256
        return pretrained(rest, allowed) if colon else bm3d()
    prior = _load(name, ("prior", "diffusion model"), tuple(CLASSICAL))
    if isinstance(prior, DiffusionModel):
        return DiffusionPrior(prior)
    assert isinstance(prior, Prior)  # as all models of that use are
    return prior


def load_diffusion(name: str | Path) -> DiffusionModel:
    """A model to sample from, by name or by the path of a .safetensors file; raises as `load`.

    >>> proxlab.checkpoints.load_diffusion("proxdm-mnist").shape
    (1, 28, 28)
    """
    model = _load(name, ("diffusion model",))
    assert isinstance(model, DiffusionModel)
    return model


def load_classifier(name: str | Path = "digit-classifier") -> DigitClassifier:
    """The network in whose features samples are judged; raises as `load`.

    >>> classifier = proxlab.checkpoints.load_classifier()
    >>> classifier(torch.rand(4, 1, 28, 28)).shape   # a logit for each digit
    torch.Size([4, 10])
    """
    model = _load(name, ("classifier",))
    assert isinstance(model, DigitClassifier)
    return model


def models() -> dict[str, dict]:
    """The cards of the models in the package, by name.

    >>> card = proxlab.models()["lpn-gray"]
    >>> card["parameters"], card["data"]
    (63623, '380 images of bsds400')
    """
    return {p.stem: json.loads(p.read_text()) for p in sorted(SHIPPED.glob("*.json"))}


def _load(name: str | Path, uses: tuple[Use, ...], others: tuple[str, ...] = ()) -> nn.Module:
    """The model of that name or file, if it has one of the uses; `others` are known names too."""
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    use = uses[0]
    kinds = [kind for kind, row in KINDS.items() if row.use == use]
    path = _path_of(name, use, kinds, others)
    card = _read_card(path)
    row = KINDS[card["kind"]]
    if row.use not in uses:
        raise ValueError(
            f"{path.stem} holds a model of kind {card['kind']}, not a {use} "
            f"({' or '.join(kinds)}); {USES[row.use]}"
        )
    weights = path.read_bytes()  # once: what is read is what was checked
    if card.get("sha256") != hashlib.sha256(weights).hexdigest():
        raise ValueError(
            f"{path} does not match the sha256 in {path.stem}.json; it is corrupted or belongs to "
            "another model: fetch both files again"
        )
    try:
        model = row.build(row.config(**card["architecture"]), card, path.stem)
        model.load_state_dict(from_bytes(weights))
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error}); fetch it again") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path} does not fit the architecture in its JSON or this version of proxlab, fetch "
            f"one made for it: {reason}"
        ) from error
    return model.requires_grad_(False).eval()


def _path_of(name: str | Path, use: Use, kinds: list[str], others: tuple[str, ...]) -> Path:
    """The file of that name. Raises ValueError, with the names of `kinds`, if there is none."""
    path = Path(name)
    if path.suffix == ".safetensors":
        return path
    if str(name) in (shipped := {p.stem: p for p in SHIPPED.glob("*.safetensors")}):
        return shipped[str(name)]  # one of these names, and not a path below or above them
    if path.suffix in (".pt", ".pth", ".pkl", ".pickle", ".ckpt"):
        raise ValueError(f"{path} may be a pickle, which can run code; give a .safetensors file")
    names = ", ".join([*others, *(n for n, card in models().items() if card["kind"] in kinds)])
    more = ", bm3d, deepinv:NAME; the commands know MODULE:ATTRIBUTE too" * (use == "prior")
    raise ValueError(
        f"no {use} is called {name!r}; known are {names}, or a .safetensors file{more}"
    )


def _read_card(path: Path) -> dict:
    """The JSON beside a file. Raises ValueError if either is missing or it describes no model."""
    card_path = path.with_suffix(".json")
    for file in (path, card_path):
        if not os.path.isfile(file):  # whatever the name is; Path raises where one is too long
            raise ValueError(
                f"a model is two files, NAME.safetensors and NAME.json; {file} is missing"
            )
    try:
        card = json.loads(card_path.read_text())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{card_path} is not JSON: {error}; fetch it again") from error
    if not isinstance(card, dict) or card.get("kind") not in [*KINDS]:  # which JSON may not hash
        raise ValueError(
            f"{card_path} does not describe a model of this package (kind {' or '.join(KINDS)})"
        )
    return card
