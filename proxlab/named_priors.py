"""The door for priors: a name that a person types, or an object that a script brings.

lpn-gray, tv, none, model.safetensors, bm3d, deepinv:DRUNet    names and files of `proxlab.load`
0.3*gs-unet+0.7*lpn-gray                  an average of such (`proxlab.AveragePrior`)
mymodule:make_prior                       your own, from a module that Python finds

`restore`, `compare` and `Tiled` all take priors through `as_prior`.
"""

import sys
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from proxlab.checkpoints import FOREIGN, load
from proxlab.priors.adopted import HasProx, adopted
from proxlab.priors.contract import Prior


def as_prior(prior: object) -> Prior:
    """The prior of that name, or what was brought as a prior (`proxlab.priors.adopted`).

    Raises ValueError for a name that nothing bears, TypeError for an object that can be no prior.
    """
    if isinstance(prior, str | Path):
        return named_prior(str(prior))
    return adopted(prior)


def named_prior(name: str, allowed: Collection[str] = ()) -> Prior:
    """The prior of that name. Raises ValueError where there is none.

    `module:attribute` runs the module, which may lie in the working folder; the attribute is a
    prior or a network, or a class or function that gives one when called without arguments.
    allowed: sha256 of files of foreign weights that are let in besides those known here.
    """
    place, colon, rest = name.partition(":")
    if colon and place != FOREIGN and not name.endswith(".safetensors"):
        return _imported(name, place, rest)
    return load(name, allowed)


def _imported(name: str, place: str, attribute: str) -> Prior:
    here = str(Path.cwd())
    thing: Any
    sys.path.insert(0, here)  # as `python -m` does; a command's own path lacks it
    try:
        thing = getattr(import_module(place), attribute)
        is_class = isinstance(thing, type)  # which has a prox too, unbound
        made = thing if not is_class and isinstance(thing, HasProx | nn.Module) else thing()
    except Exception as error:  # whatever that code raises
        said = " ".join(str(error).split())
        raise ValueError(
            f"no prior came of {name}, {type(error).__name__}: {said}; it is MODULE:ATTRIBUTE of a "
            "module in the working folder or installed, a prior or a function without arguments"
        ) from error
    finally:
        sys.path.remove(here)
    try:
        return adopted(made)
    except TypeError as error:
        raise ValueError(
            f"{name} is a {type(made).__name__}; a prior has a method prox(v, sigma), or is a "
            "network called as net(v, sigma)"
        ) from error
