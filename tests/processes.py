"""Processes that find each other as those of torchrun do."""

import os
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def together(size: int, command: Callable[[int], Sequence[str]], timeout: float) -> None:
    """Run `command(rank)` for each of `size` ranks at once; all must exit with 0 within `timeout` seconds."""
    port = free_port()
    shared = {**os.environ, "OMP_NUM_THREADS": "1"}
    if size > 1:
        shared |= {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = [subprocess.Popen(command(rank), cwd=ROOT, env={**shared, "RANK": str(rank)}) for rank in range(size)]
    assert [process.wait(timeout=timeout) for process in started] == [0] * size
