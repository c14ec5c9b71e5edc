"""The kernel of `deblur` where it is measured: of a PSF in a file, or of INPUT's own spectrum."""

import argparse

from torch import Tensor

from proxlab import operators
from proxlab.commands.problems.options import AUTO
from proxlab.images.operator_files import read_psf
from proxlab.operators.estimates.blur_width import blur_width


def measured_kernel(args: argparse.Namespace, x: Tensor) -> tuple[Tensor, str]:
    """The kernel [h, w] that --psf or --blur-sigma auto says, and how it was found, in words.

    Raises ValueError as `operators.psf` and `blur_width`.
    """
    if args.psf:
        found = operators.psf(read_psf(args.psf))
        return found.kernel, str(found)
    noise = None if args.noise in (None, AUTO) else args.noise
    width, sd = (float(one) for one in blur_width(x, noise))
    said = (
        f"blur estimated: Gaussian, width {width:.2f} +- {sd:.2f} pixels, by chance alone; "
        "photographs were off by 4 to 17 % on average, so bring a PSF (--psf) if there is one"
    )
    return operators.gaussian_kernel(width), said
