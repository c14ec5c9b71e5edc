"""The command `proxlab`: parse the arguments, hand over to the command, say errors in a sentence.

Each command is imported when it is run: --help and --version load neither torch nor numpy.
However a command ends, but for SIGKILL, what it had begun to write is removed, and one sentence
says why it ended: an interrupt, SIGTERM and a reader of its output that went away among the causes.
"""

import argparse
import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator

from proxlab.commands.arguments import check_usage, parser

SPINS = "1000"
"""Rounds, a few microseconds, for which a thread that waits looks before it sleeps."""
POLICIES = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
"""Variables by which a user decides how threads wait."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, which unwinds a command as an interrupt does."""


def main(argv: list[str] | None = None) -> int:
    """Run a command; argv: its words, those of the process if None. Returns the exit status.

    That is 0 on success and 1 for bad input, of which one sentence is printed to stderr. Bad usage
    ends in SystemExit with status 2, --help and --version with status 0.
    """
    try:
        args = parser().parse_args(argv)
        _wait_asleep()
        with _terminable(), _any_name():
            _run(args)
            _flush()
    except BrokenPipeError:
        _close()
        print("proxlab: nobody reads the output any more; all files are written", file=sys.stderr)
        return 1
    except (ValueError, OSError, RuntimeError, ArithmeticError, MemoryError) as error:
        print(f"proxlab: {_sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        how = "terminated" if isinstance(error, Terminated) else "interrupted"
        more = f"; {error}" if str(error) else ""
        print(f"proxlab: {how}; nothing was left half-written{more}", file=sys.stderr)
        return 1
    return 0


def _wait_asleep() -> None:
    """Let OpenMP's threads fall asleep soon when they wait for each other, unless told otherwise.

    GNU's OpenMP, which torch has on Linux, lets them look for milliseconds: beside another busy
    process the thread that looks holds the core on which the other could go on, and 0.2 s become 8.
    The setting is read once, when torch loads; later this does nothing. [libgomp, GOMP_SPINCOUNT]
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in POLICIES):
        os.environ["GOMP_SPINCOUNT"] = SPINS


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Inside, SIGTERM raises Terminated, unless somebody else has a use for it."""

    def stop(signum: int, frame: object) -> None:
        raise Terminated

    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def _any_name() -> Iterator[None]:
    """Inside, names of files can be printed that are no text in the encoding of stdout."""
    out = sys.stdout
    if not isinstance(out, io.TextIOWrapper):
        yield
        return
    before = out.errors
    out.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        out.reconfigure(errors=before)


def _flush() -> None:
    """Print what is still held, here, where it can be said that this failed."""
    if sys.stdout is not None and not sys.stdout.closed:
        try:
            sys.stdout.flush()
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            _close()
            raise OSError(f"the output could not be printed: {error.strerror}") from error


def _close() -> None:
    """Send what stdout still holds nowhere: Python would try to print it again at the end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _run(args: argparse.Namespace) -> None:
    match args.command:
        case "demo":
            from proxlab.commands.demo import demo_files

            demo_files(args)
        case "models":
            from proxlab.commands.models import list_models

            list_models(args)
        case "restore":
            check_usage(args)
            from proxlab.commands.restore import restore_file

            restore_file(args)
        case "posterior":
            check_usage(args)
            from proxlab.commands.posterior import posterior_files

            posterior_files(args)
        case "sample":
            from proxlab.commands.sample import sample_file

            sample_file(args)
        case "train":
            from proxlab.commands.train import train_recipe

            train_recipe(args)
        case "adapt":
            from proxlab.commands.adapt import adapt_to_folder

            adapt_to_folder(args)
        case "audit":
            from proxlab.commands.audit import audit_model

            audit_model(args)
        case "compare":
            from proxlab.commands.compare import compare_files

            compare_files(args)


def _sentence(error: Exception) -> str:
    """One line on what went wrong."""
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return place + error.strerror
    return " ".join(str(error).split()) or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
