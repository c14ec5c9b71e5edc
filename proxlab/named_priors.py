"""A prior by what a person types: the one place where names of the commands become objects.

lpn-gray, tv, wavelets, none, model.safetensors    what `proxlab.load` knows
bm3d                                               BM3D, if its package is there
deepinv:DRUNet, deepinv:DRUNet-color               a pretrained network of deepinv
mymodule:make_prior                                your own, from a module that Python finds
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from proxlab.checkpoints import load


def named_prior(name: str) -> Any:
    """The object of that name, with `prox(v, sigma)`. Raises ValueError where there is none.

    `module:attribute` runs the module, which may lie in the working folder; the attribute is a
    prior, or a class or function that gives one when called without arguments.
    """
    place, colon, rest = name.partition(":")
    if name == "bm3d" or (place == "deepinv" and colon):
        from proxlab.priors.deepinv_denoisers import bm3d, pretrained

        return pretrained(rest) if colon else bm3d()
    if colon and not name.endswith(".safetensors"):
        return _imported(name, place, rest)
    return load(name)


def _imported(name: str, place: str, attribute: str) -> Any:
    here = str(Path.cwd())
    sys.path.insert(0, here)  # as `python -m` does; a command's own path lacks it
    try:
        thing = getattr(import_module(place), attribute)
        # a class has `prox` too, unbound
        made = thing if hasattr(thing, "prox") and not isinstance(thing, type) else thing()
    except Exception as error:  # whatever that code raises
        said = " ".join(str(error).split())
        raise ValueError(
            f"no prior came of {name}, {type(error).__name__}: {said}; it is MODULE:ATTRIBUTE of a "
            "module in the working folder or installed, a prior or a function without arguments"
        ) from error
    finally:
        sys.path.remove(here)
    if not callable(getattr(made, "prox", None)):
        raise ValueError(f"{name} is a {type(made).__name__}; a prior has a method prox(v, sigma)")
    return made
