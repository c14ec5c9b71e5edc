"""Errors of a slice whose truth is known, said and drawn in the Hounsfield units of its file."""

import argparse
from collections.abc import Iterator

from torch import Tensor

from proxlab.commands.problems.measurement import Measurement, Source
from proxlab.commands.results.places import check_places
from proxlab.images import write_image
from proxlab.images.slices import hounsfield_errors, soft_tissue_picture


def check_difference(args: argparse.Namespace, source: Source | None) -> None:
    """ValueError, before the work, for a --difference that there will be none of.

    source: INPUT; None for a stack, of which no page is told.
    """
    if args.difference is None:
        return
    if args.problem != "ct" or not args.simulate or source is None:
        raise ValueError(
            "--difference is from one slice that is known; give one to ct with --simulate"
        )
    if not _is_slice(args, source):
        raise ValueError(
            f"--difference is in Hounsfield units, and {args.input} is no DICOM; add --hounsfield "
            "if it is a 16-bit image of them"
        )
    if args.difference.suffix.lower() != ".png":
        raise ValueError(f"--difference is a picture to look at, .png, got {args.difference}")
    check_places({"--difference": args.difference}, args.overwrite)


def in_hounsfield(
    args: argparse.Namespace, source: Source, measured: Measurement, image: Tensor
) -> Iterator[str]:
    """Sentences on the errors before and after, none where they are in no Hounsfield units.

    --difference is written: what was restored, the truth and their difference.
    """
    truth = measured.clean
    if truth is None or not _is_slice(args, source):
        return
    if measured.plain is not None:
        yield f"before: {hounsfield_errors(measured.plain, truth)}"
    yield f"after: {hounsfield_errors(image, truth)}"
    if args.difference is not None:
        picture = soft_tissue_picture(image, truth)
        write_image(args.difference, picture, overwrite=args.overwrite)


def _is_slice(args: argparse.Namespace, source: Source) -> bool:
    """Whether [0, 1] of INPUT, which is an image, stands for Hounsfield units."""
    loaded = source.image
    return (
        args.problem == "ct" and loaded is not None and (args.hounsfield or loaded.kind == ".dcm")
    )
