"""Processes that work together as torchrun starts them, for tests."""

import multiprocessing
import os
import socket

# from one server that has imported everything, forked: two processes would import it all again
START = multiprocessing.get_context("forkserver")
START.set_forkserver_preload(["proxlab.commands.train", "proxlab.training.recipes.photographs"])


def child(rank, count, port, results, work, args):
    """In a process that looks as if torchrun had started it."""
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
    told |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "test"}
    os.environ.update({name: str(value) for name, value in told.items()})
    try:
        results.put((rank, work(*args)))
    except Exception as error:
        results.put((rank, f"{type(error).__name__}: {error}"))


def together(work, *args, count=2):
    """What `work` returns in each of `count` processes, or the error in words."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    results = START.Queue()
    children = [
        START.Process(target=child, args=(rank, count, port, results, work, args), daemon=True)
        for rank in range(count)
    ]
    try:
        for one in children:
            one.start()
        found = dict(results.get(timeout=60) for _ in children)
    finally:
        for one in children:
            one.join(timeout=5)
            if one.is_alive():
                one.kill()
    return [found[rank] for rank in range(count)]
