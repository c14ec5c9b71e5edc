"""Inventories of deepinv, torch and numpy, as far as these pages name them, for intersphinx.

The originals lie in the network, and the site builds without one. A name that is missing here is
set as code and not as a link, nothing worse.
"""

import zlib
from pathlib import Path

ROOTS = {
    "deepinv": "https://deepinv.github.io/deepinv/",
    "torch": "https://docs.pytorch.org/docs/stable/",
    "numpy": "https://numpy.org/doc/stable/",
    "python": "https://docs.python.org/3/",
}
DEEPINV = {
    "physics": "LinearPhysics NoiseModel GaussianNoise Blur Inpainting MRI TomographyWithAstra",
    "models": "Denoiser DRUNet DnCNN GSDRUNet",
    "optim": "Prior PnP PGD ADMM DRS HQS FISTA L2",
}
HOMES = {
    "deepinv.physics.LinearPhysics": "deepinv.physics.forward.LinearPhysics",
    "deepinv.physics.NoiseModel": "deepinv.physics.noise.NoiseModel",
    "deepinv.physics.GaussianNoise": "deepinv.physics.noise.GaussianNoise",
    "deepinv.models.Denoiser": "deepinv.models.base.Denoiser",
    "deepinv.optim.Prior": "deepinv.optim.prior.Prior",
}
"""Name -> the module's name of it, which annotations have."""
ELSEWHERE = {
    "torch": {
        "torch.Tensor": "tensors.html#torch.Tensor",
        "torch.Generator": "generated/torch.Generator.html#torch.Generator",
        "torch._C.Generator": "generated/torch.Generator.html#torch.Generator",
        "torch.device": "tensor_attributes.html#torch.device",
        "torch.dtype": "tensor_attributes.html#torch.dtype",
        "torch.nn.Module": "generated/torch.nn.Module.html#torch.nn.Module",
        "torch.nn.modules.module.Module": "generated/torch.nn.Module.html#torch.nn.Module",
    },
    "numpy": {
        "numpy.ndarray": "reference/generated/numpy.ndarray.html#numpy.ndarray",
    },
    "python": {
        "pathlib.Path": "library/pathlib.html#pathlib.Path",
        "str": "library/stdtypes.html#str",
        "int": "library/functions.html#int",
        "float": "library/functions.html#float",
        "bool": "library/functions.html#bool",
        "list": "library/stdtypes.html#list",
        "tuple": "library/stdtypes.html#tuple",
        "dict": "library/stdtypes.html#dict",
        "object": "library/functions.html#object",
        "ValueError": "library/exceptions.html#ValueError",
        "TypeError": "library/exceptions.html#TypeError",
    },
}


def entries(project: str) -> dict[str, str]:
    """Name -> address below the project's root."""
    if project != "deepinv":
        return ELSEWHERE[project]
    found = {}
    for room, names in DEEPINV.items():
        for name in (f"deepinv.{room}.{last}" for last in names.split()):
            address = f"api/stubs/{name}.html#{name}"
            found[name] = found[HOMES.get(name, name)] = address
    return found


def write_inventories(folder: Path) -> dict[str, tuple[str, str]]:
    """Write them where intersphinx finds them; its mapping of projects to root and file."""
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for project, root in ROOTS.items():
        lines = [f"{name} py:class 1 {address} -\n" for name, address in entries(project).items()]
        header = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
        header += "# The remainder of this file is compressed using zlib.\n"
        path = folder / f"{project}.inv"
        path.write_bytes(header.encode() + zlib.compress("".join(lines).encode()))
        mapping[project] = (root, str(path))
    return mapping
