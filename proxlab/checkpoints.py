"""Model files: weights as safetensors beside a JSON that says what they are. No code is executed.

The JSON holds the architecture, the noise levels, how the model was trained, its figures, and the
sha256 of the weights, which is checked at loading.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from proxlab.classical import TV, Identity
from proxlab.convex import MixturePotential
from proxlab.files import write_json, writing
from proxlab.icnn import ImageICNN, VectorICNN
from proxlab.icnn_config import ImageICNNConfig, VectorICNNConfig
from proxlab.log_density import LogDensityConfig, LogDensityPotential
from proxlab.lpn import LPN
from proxlab.mixture_config import MixtureConfig
from proxlab.rivals import UNetConfig, UNetDenoiser

SHIPPED = Path(__file__).parent / "weights"
RIVAL = "unet"
"""The kind of an unconstrained network, which is the prox of nothing."""
KINDS = {
    "lpn-mixture": (MixtureConfig, MixturePotential),
    "lpn-log-density": (LogDensityConfig, LogDensityPotential),
    "lpn-icnn": (ImageICNNConfig, ImageICNN),
    "lpn-icnn-vectors": (VectorICNNConfig, VectorICNN),
}
"""What else a model file may hold: the potential's configuration and its class."""


def save(path: str | Path, model: LPN | UNetDenoiser, about: dict, overwrite: bool = False) -> Path:
    """Write `path`.safetensors and `path`.json; `about` is added to the JSON. Returns the former.

    The JSON comes last: weights without one are not a model, so an interrupt leaves no half of one.
    """
    from safetensors.torch import save as to_bytes

    path = Path(path).with_suffix(".safetensors")
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    weights = to_bytes(tensors)
    with writing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(weights)
    rival = isinstance(model, UNetDenoiser)
    card = {
        "kind": RIVAL if rival else _kind(model),
        "architecture": asdict(model.config if rival else model.potential.config),
        "sigma_range": list(model.sigma_range),
        "parameters": sum(p.numel() for p in model.parameters()),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    write_json(path.with_suffix(".json"), card | about, overwrite=overwrite)
    return path


def load(name: str | Path) -> LPN | UNetDenoiser | TV | Identity:
    """A prior by name: a shipped model, "tv", "none", or the path of a .safetensors file.

    A file may hold an unconstrained network (`UNetDenoiser`): a denoiser without a value.

    Raises ValueError for an unknown name, and for a file that is not a model of this package, is
    corrupted, or does not match its JSON.
    """
    if name == "tv":
        return TV()
    if name == "none":
        return Identity()
    path = Path(name)
    if path.suffix != ".safetensors" and (SHIPPED / f"{name}.safetensors").exists():
        path = SHIPPED / f"{name}.safetensors"
    elif path.suffix in (".pt", ".pth", ".pkl", ".pickle", ".ckpt"):
        raise ValueError(f"{path} may be a pickle, which can run code; give a .safetensors file")
    elif path.suffix != ".safetensors":
        names = ", ".join(["tv", "none", *models()])
        raise ValueError(f"no prior is called {name!r}; known are {names}, or a .safetensors file")
    return _load_file(path)


def models() -> dict[str, dict]:
    """The cards of the models in the package, by name."""
    return {p.stem: json.loads(p.read_text()) for p in sorted(SHIPPED.glob("*.json"))}


def _load_file(path: Path) -> LPN | UNetDenoiser:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    card = _read_card(path)
    if card.get("sha256") != _sha256(path):
        raise ValueError(
            f"{path} does not match the sha256 in {path.stem}.json; it is corrupted or belongs to "
            "another model: fetch both files again"
        )
    try:
        levels, size = tuple(card["sigma_range"]), card["architecture"]
        if card["kind"] == RIVAL:
            model = UNetDenoiser(UNetConfig(**size), levels, path.stem)
        else:
            configuration, potential = KINDS[card["kind"]]
            model = LPN(potential(configuration(**size)), levels, path.stem)
        model.load_state_dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error}); fetch it again") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path} does not fit the architecture in its JSON or this version of proxlab, fetch "
            f"one made for it: {reason}"
        ) from error
    return model.requires_grad_(False).eval()


def _read_card(path: Path) -> dict:
    card_path = path.with_suffix(".json")
    for file in (path, card_path):
        if not file.is_file():
            raise ValueError(
                f"a model is two files, NAME.safetensors and NAME.json; {file} is missing"
            )
    try:
        card = json.loads(card_path.read_text())
    except ValueError as error:
        raise ValueError(f"{card_path} is not JSON: {error}") from error
    if not isinstance(card, dict) or card.get("kind") not in (*KINDS, RIVAL):
        raise ValueError(
            f"{card_path} does not describe a model of this package (kind "
            f"{' or '.join([*KINDS, RIVAL])})"
        )
    return card


def _kind(model: LPN) -> str:
    return next(k for k, (_, made) in KINDS.items() if type(model.potential) is made)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
