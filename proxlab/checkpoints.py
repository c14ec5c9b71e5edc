"""Model files: weights as safetensors beside a JSON that says what they are. No code is executed.

The JSON holds the architecture, the noise levels, how the model was trained, its figures, and the
sha256 of the weights, which is checked at loading.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from proxlab.diffusion.digit_classifier import DigitClassifier, DigitClassifierConfig
from proxlab.diffusion.models import DiffusionModel, ProxDM, ScoreModel
from proxlab.diffusion.network import DiffusionNetConfig
from proxlab.images.files import write_json, writing
from proxlab.priors.classical import TV, Identity
from proxlab.priors.crate.completion import Completion
from proxlab.priors.crate.denoiser import CrateConfig, CrateDenoiser
from proxlab.priors.crate.gradient_step import GradientStep
from proxlab.priors.dncnn import DnCNNConfig, DnCNNDenoiser
from proxlab.priors.lpn.icnn import ImageICNN, ImageICNNConfig, VectorICNN, VectorICNNConfig
from proxlab.priors.lpn.log_density import LogDensityConfig, LogDensityPotential
from proxlab.priors.lpn.mixture_config import MixtureConfig
from proxlab.priors.lpn.mixture_potential import MixturePotential
from proxlab.priors.lpn.network import LPN
from proxlab.priors.unet import UNetConfig, UNetDenoiser
from proxlab.priors.wavelets import Wavelets

SHIPPED = Path(__file__).parent / "weights"
POTENTIALS = {
    "lpn-mixture": (MixtureConfig, MixturePotential),
    "lpn-log-density": (LogDensityConfig, LogDensityPotential),
    "lpn-icnn": (ImageICNNConfig, ImageICNN),
    "lpn-icnn-vectors": (VectorICNNConfig, VectorICNN),
}
"""Kinds of a learned proximal network: the potential's configuration and its class."""
NETWORKS = {
    "unet": (UNetConfig, UNetDenoiser),
    "dncnn": (DnCNNConfig, DnCNNDenoiser),
    "crate": (CrateConfig, CrateDenoiser),
    "crate-step": (CrateConfig, GradientStep),
    "crate-completion": (CrateConfig, Completion),
    "proxdm": (DiffusionNetConfig, ProxDM),
    "score": (DiffusionNetConfig, ScoreModel),
    "digit-classifier": (DigitClassifierConfig, DigitClassifier),
}
"""Kinds of another network. The first five are denoisers; nobody vouches that they are a prox."""
PRIORS = (*POTENTIALS, "unet", "dncnn", "crate", "crate-step", "crate-completion")
DIFFUSIONS = ("proxdm", "score")

Denoisers = UNetDenoiser | DnCNNDenoiser | CrateDenoiser | GradientStep | Completion
Prior = LPN | Denoisers
Model = Prior | DiffusionModel | DigitClassifier


def save(path: str | Path, model: Model, about: dict, overwrite: bool = False) -> Path:
    """Write `path`.safetensors and `path`.json; `about` is added to the JSON. Returns the former.

    The JSON comes last: weights without one are not a model, so an interrupt leaves no half of one.
    """
    from safetensors.torch import save as to_bytes

    path = Path(path).with_suffix(".safetensors")
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    weights = to_bytes(tensors)
    with writing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(weights)
    card = {
        "kind": _kind(model),
        "architecture": asdict(model.potential.config if isinstance(model, LPN) else model.config),
        **_extent(model),
        "parameters": sum(p.numel() for p in model.parameters()),
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    write_json(path.with_suffix(".json"), card | about, overwrite=overwrite)
    return path


def load(name: str | Path) -> Prior | TV | Wavelets | Identity:
    """A prior by name: a shipped model, "tv", "wavelets", "none", or a path to a .safetensors file.

    An unconstrained network (`UNetDenoiser`, `CrateDenoiser`) is a denoiser without a value.

    Raises ValueError for an unknown name, and for a file that is not a prior of this package, is
    corrupted, or does not match its JSON.
    """
    if name == "tv":
        return TV()
    if name == "wavelets":
        return Wavelets()
    if name == "none":
        return Identity()
    return _load(name, PRIORS, "prior", ("tv", "wavelets", "none"))


def load_diffusion(name: str | Path) -> DiffusionModel:
    """A model to sample from, by name or by the path of a .safetensors file; raises as `load`."""
    return _load(name, DIFFUSIONS, "diffusion model")


def load_classifier(name: str | Path = "digit-classifier") -> DigitClassifier:
    """The network in whose features samples are judged; raises as `load`."""
    return _load(name, ("digit-classifier",), "classifier")


def models() -> dict[str, dict]:
    """The cards of the models in the package, by name."""
    return {p.stem: json.loads(p.read_text()) for p in sorted(SHIPPED.glob("*.json"))}


def _path_of(name: str | Path, kinds: tuple[str, ...], what: str, others: tuple[str, ...]) -> Path:
    path = Path(name)
    if path.suffix == ".safetensors":
        return path
    if (SHIPPED / f"{name}.safetensors").exists():
        return SHIPPED / f"{name}.safetensors"
    if path.suffix in (".pt", ".pth", ".pkl", ".pickle", ".ckpt"):
        raise ValueError(f"{path} may be a pickle, which can run code; give a .safetensors file")
    names = ", ".join([*others, *(n for n, card in models().items() if card["kind"] in kinds)])
    more = "; the commands know bm3d, deepinv:NAME and MODULE:ATTRIBUTE too" * (what == "prior")
    raise ValueError(
        f"no {what} is called {name!r}; known are {names}, or a .safetensors file{more}"
    )


def _load(
    name: str | Path, kinds: tuple[str, ...], what: str, others: tuple[str, ...] = ()
) -> Model:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = _path_of(name, kinds, what, others)
    card = _read_card(path)
    if card["kind"] not in kinds:
        raise ValueError(
            f"{path.stem} holds a model of kind {card['kind']}, not a {what} "
            f"({' or '.join(kinds)}); {_use_of(card['kind'])}"
        )
    if card.get("sha256") != _sha256(path):
        raise ValueError(
            f"{path} does not match the sha256 in {path.stem}.json; it is corrupted or belongs to "
            "another model: fetch both files again"
        )
    try:
        model = _build(card, path.stem)
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


def _build(card: dict, name: str) -> Model:
    kind, size = card["kind"], card["architecture"]
    if kind in POTENTIALS:
        configuration, potential = POTENTIALS[kind]
        return LPN(potential(configuration(**size)), tuple(card["sigma_range"]), name)
    configuration = NETWORKS[kind][0](**size)
    match kind:
        case "unet" | "dncnn" | "crate" | "crate-completion":
            return NETWORKS[kind][1](configuration, tuple(card["sigma_range"]), name)
        case "crate-step":
            return GradientStep(configuration, tuple(card["sigma_range"]), card["length"], name)
        case "proxdm":
            return ProxDM(configuration, card["trained_steps"], name)
        case "score":
            return ScoreModel(configuration, name)
        case _:
            return DigitClassifier(configuration)


def _extent(model: Model) -> dict:
    """What a model was trained for, beside its architecture."""
    if isinstance(model, GradientStep):
        return {"sigma_range": list(model.sigma_range), "length": model.length}
    if isinstance(model, LPN | Denoisers):
        return {"sigma_range": list(model.sigma_range)}
    return {"trained_steps": list(model.steps)} if isinstance(model, ProxDM) else {}


def _kind(model: Model) -> str:
    table, part = (POTENTIALS, model.potential) if isinstance(model, LPN) else (NETWORKS, model)
    return next(k for k, (_, made) in table.items() if type(part) is made)


def _use_of(kind: str) -> str:
    if kind in DIFFUSIONS:
        return "draw from it with proxlab.sample"
    return "restore with it" if kind in PRIORS else "it judges samples"


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
    if not isinstance(card, dict) or card.get("kind") not in (*POTENTIALS, *NETWORKS):
        raise ValueError(
            f"{card_path} does not describe a model of this package (kind "
            f"{' or '.join([*POTENTIALS, *NETWORKS])})"
        )
    return card


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
