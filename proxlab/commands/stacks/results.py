"""Results of a run on many pages: files that are whole, one after the other as they are ready."""

import argparse
import contextlib

from torch import Tensor

from proxlab.commands.results.places import written_scale
from proxlab.commands.stacks.survey import PageSeen, Survey, Target
from proxlab.images import write_image
from proxlab.images.decoders.pages import Page
from proxlab.images.stack_writing import StackWriter, writing_stack


class Results(contextlib.AbstractContextManager):
    """Writer of the pages of a survey, in its order: `add` each once.

    A file is there when its last page was added; what an exception interrupts is removed, and the
    files before it stay.
    """

    def __init__(self, args: argparse.Namespace, found: Survey):
        self._args, self._found = args, found
        self._open: tuple[int, StackWriter] | None = None
        self._stack = contextlib.ExitStack()

    def __exit__(self, *error) -> bool | None:
        return self._stack.__exit__(*error)

    def add(self, seen: PageSeen, image: Tensor) -> float:
        """Write a restored image [1, C, H, W]; the fraction of its pixels that were clipped."""
        target = self._found.targets[seen.target]
        target.out.parent.mkdir(parents=True, exist_ok=True)
        scale = written_scale(self._args.scale, seen.bits, target.out, target.bits)
        if target.document.layout is None:
            return write_image(
                target.out, image, target.bits, self._args.overwrite, target.document.path, scale
            )
        assert isinstance(seen.page, Page)
        clipped = self._writer(seen, target).add(seen.page, image)
        if seen.page == target.document.pages[-1]:
            self._stack.close()
            self._open = None
        return clipped

    def _writer(self, seen: PageSeen, target: Target) -> StackWriter:
        """That of the page's TIFF, which is begun with its first page."""
        if self._open is None or self._open[0] != seen.target:
            assert target.document.layout is not None
            scale = written_scale(self._args.scale, seen.bits, target.out, target.bits)
            writer = self._stack.enter_context(
                writing_stack(
                    target.out,
                    target.document.layout,
                    target.values,
                    target.bits,
                    scale,
                    self._args.overwrite,
                )
            )
            self._open = seen.target, writer
        return self._open[1]
