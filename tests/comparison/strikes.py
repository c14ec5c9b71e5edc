"""A signal at a moment that is told by what a process does, not by a clock."""

import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import torch

from proxlab.commands.main import main

LONG = 120
"""Seconds after which a process is taken to hang."""
FILES = ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate", "os.scandir", "os.listdir")
"""What is counted: everything that a process does to files through Python."""


def struck(at: int, by: int = signal.SIGKILL) -> None:
    """Have this process sent the signal `by` when it does its `at`-th thing to a file from now."""
    count = 0

    def hook(event: str, args: tuple) -> None:
        nonlocal count
        count += event in FILES
        if count == at and event in FILES:
            os.kill(os.getpid(), by)

    sys.addaudithook(hook)  # for good: it is for a process that ends soon


def main_in_a_process(words: list[str], work: Callable[[], object]) -> tuple[int | None, str]:
    """Run `main` on words, after `work`, in a process of its own: its status, and what it said."""

    def child() -> None:
        torch.set_num_threads(1)
        with open("said", "w") as said:
            os.dup2(said.fileno(), 2)
            sys.stderr = said
            # a shell that runs the tests in its background makes them deaf to the first
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            work()
            status = main(words)
        os._exit(status)

    process = get_context("fork").Process(target=child)
    process.start()
    process.join(LONG)
    status = process.exitcode
    process.kill()
    return status, Path("said").read_text()
