"""The command `proxlab`: parse the arguments, hand over to the command, say errors in a sentence.

Each command is imported when it is run: --help and --version load neither torch nor numpy.
"""

import argparse
import sys

from proxlab.commands.arguments import check_usage, parser


def main(argv: list[str] | None = None) -> int:
    """Run a command; argv: its words, those of the process if None. Returns the exit status.

    That is 0 on success and 1 for bad input, of which one sentence is printed to stderr. Bad usage
    ends in SystemExit with status 2, --help and --version with status 0.
    """
    args = parser().parse_args(argv)
    try:
        _run(args)
    except (ValueError, OSError, RuntimeError, ArithmeticError, MemoryError) as error:
        print(f"proxlab: {_sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("proxlab: interrupted; nothing was left half-written", file=sys.stderr)
        return 1
    return 0


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
        case "sample":
            from proxlab.commands.sample import sample_file

            sample_file(args)
        case "train":
            from proxlab.commands.train import train_recipe

            train_recipe(args)
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
