"""How the processes of a run find each other, wait for each other, and notice that one is gone.

Collectives are done in lockstep, so they may be given up after PATIENCE. But a process may work alone for days (the first one, while it
evaluates or waits for people), so the others wait at the store by which all found each other: each says there every few seconds that it is
alive, and who waits looks whether the others still do. Connections of gloo end with the process that held them; that is noticed at once.

On GPUs numbers travel by NCCL, and whatever is said between processes by gloo.
"""

import atexit
import os
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from tutelage.core.errors import Interrupted, UserError

PATIENCE = timedelta(minutes=30)
"""How long a process that computes along may take for its part of a step."""
MEET = timedelta(minutes=10)
"""Within which all processes must have begun."""
BEAT, SILENT = 5.0, 180.0
"""Seconds between signs of life; seconds without one after which a process is taken for dead."""
GOODBYE = 10.0
"""Seconds for the last of them, when a process ends while the store is silent."""
LOOK = 0.1
"""Seconds between looks while waiting."""
BROKEN = ("gloo", "nccl", "connection closed", "connection reset", "broken pipe", "connection was likely closed")


class Meeting:
    """The other processes, as far as they are heard of. One per process."""

    def __init__(self, store: Any, rank: int, size: int) -> None:
        self.store, self.rank, self.size = store, rank, size
        self._waits, self._over = 0, threading.Event()
        self._alive = threading.Thread(target=self._live, daemon=True)
        self._alive.start()
        atexit.register(self._leave)

    def _live(self) -> None:
        """Say every few seconds that this process is there, until nobody listens any more: whoever waits will then hear of it."""
        while not self._over.is_set():
            try:
                self.store.add(f"alive/{self.rank}", 1)
            except RuntimeError:
                return
            self._over.wait(BEAT)

    def _leave(self) -> None:
        """A thread that is within torch when the interpreter ends is unwound through C++, which aborts a run that was done."""
        self._over.set()
        self._alive.join(GOODBYE)

    def wait(self) -> None:
        """Until every process has come here. Interrupted when one has not been heard of for SILENT seconds."""
        self._waits += 1
        name, heard = f"wait/{self._waits}", dict.fromkeys(range(self.size), (-1, time.monotonic()))
        there = self.store.add(name, 1)
        while there < self.size:
            time.sleep(LOOK)
            for rank, (count, since) in heard.items():
                now = self.store.add(f"alive/{rank}", 0)
                if now != count:
                    heard[rank] = (now, time.monotonic())
                elif time.monotonic() - since > SILENT:
                    raise Interrupted(f"process {rank + 1} of {self.size} has not been heard of for {SILENT:.0f} s")
            there = self.store.add(name, 0)
        # Nobody looks at the store any more when this is done, so the process that holds it may go.
        dist.all_reduce(torch.zeros(1))


def meet(on_gpu: bool) -> Meeting:
    """Find the others, as torchrun's variables say. UserError for a port in use or variables that lack, Interrupted for others that don't
    come."""
    at = f"{os.environ.get('MASTER_ADDR', '?')}:{os.environ.get('MASTER_PORT', '?')}"
    try:
        store, rank, size = next(rendezvous("env://", timeout=MEET))
    except ValueError as error:
        what = str(error).rpartition("environment variable ")[2]
        raise UserError(f"WORLD_SIZE says that there are other processes, but {what}; start them by torchrun") from None
    except RuntimeError as error:
        if "EADDRINUSE" in str(error) or "in use" in str(error):
            raise UserError(f"port {at} is in use by another program; give another: torchrun --master-port, or MASTER_PORT") from None
        raise Interrupted(f"not all processes came to {at} within {MEET.total_seconds() / 60:.0f} minutes ({_first(error)})") from error
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", store=store, rank=rank, world_size=size, timeout=PATIENCE)
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _stopped)
    return Meeting(store, rank, size)


@contextmanager
def company() -> Generator[None]:
    """Within, a connection that another process has left is said in one sentence."""
    try:
        yield
    except RuntimeError as error:
        if not dist.is_initialized() or not broken(error):
            raise
        raise Interrupted(
            f"process {dist.get_rank() + 1} of {dist.get_world_size()} has lost another, which was killed or has said why ({_first(error)})"
        ) from error


def broken(error: RuntimeError) -> bool:
    """Is this what torch raises when another process has gone?"""
    return isinstance(error, dist.DistError) or any(sign in str(error).lower() for sign in BROKEN)


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__


def _stopped(number: int, frame: object) -> NoReturn:
    raise Interrupted("told to stop, as torchrun tells every process when one of them has failed")
