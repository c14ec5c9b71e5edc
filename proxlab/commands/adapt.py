"""The command `proxlab adapt`: a shipped prior, trained further on a folder of noisy images.

proxlab adapt scans --prior lpn-gray --noise 0.08 --out scans.safetensors
proxlab restore scans/1.tif denoise --noise 0.08 --prior scans.safetensors --out clean.tif
"""

import shlex
from argparse import Namespace

from torch import nn

from proxlab.adaptation.adapting import Adapted, adapt
from proxlab.checkpoints import save
from proxlab.images import list_images, read_image
from proxlab.images.files import check_writable
from solvers.progress import on_terminal


def adapt_to_folder(args: Namespace) -> None:
    """Adapt args.prior to the images of args.folder and write it to args.out.

    Raises ValueError where training brought nothing for sure, when nothing is written, and as
    `proxlab.adapt`.
    """
    if args.out.suffix != ".safetensors":
        raise ValueError(f"a prior is written as .safetensors, got {args.out}; rename it")
    for path in (args.out, args.out.with_suffix(".json")):
        check_writable(path, args.overwrite)
    paths = list_images(args.folder)
    if not paths:
        raise ValueError(f"{args.folder} has no images that proxlab reads; name another folder")
    images = [read_image(path, unbounded=True).pixels[0] for path in paths]
    found = adapt(
        args.prior,
        images,
        args.noise,
        steps=args.steps,
        seed=args.seed,
        progress=not args.quiet and on_terminal(),
    )
    if not found.accepted:
        raise ValueError(f"{_told(found)}; nothing is written, use {args.prior} as it is")
    assert isinstance(found.prior, nn.Module)  # as all that learn are
    command = f"proxlab adapt DIR --prior {shlex.quote(str(args.prior))} --noise {args.noise:g}"
    about = {
        "what": f"{args.prior} adapted to noisy images, Recorrupted-to-Recorrupted",
        "data": f"{len(images)} noisy images, noise {args.noise:g}",
        "command": f"{command} --steps {args.steps} --seed {args.seed}",
        "held_out_squared_error": {"before": found.before, "gain": found.gain, "of": found.error},
    }
    path = save(args.out, found.prior, about, overwrite=args.overwrite)
    if not args.quiet:
        print(f"{_told(found)}\n{path}")


def _told(found: Adapted) -> str:
    share = f"{found.gain / found.before:.0%} of {found.before:.3g}" if found.before > 0 else "?"
    words = f"squared error on images held out fell by {found.gain:.2g} ({share}), "
    doubt = f"; {found.doubt}" if found.doubt else ""
    return f"{words}standard error {found.error:.2g}{doubt}"
