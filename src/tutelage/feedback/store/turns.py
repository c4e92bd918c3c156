"""A queue for the threads of one process that want to write: first come, first served, and answers before leases.

Python's own lock goes to whichever thread happens to run next, and SQLite's waiting is polling with growing pauses: under load both leave
somebody waiting several times as long as the others. Answers go first because a person waits for the word that theirs is stored.
"""

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager


class Turns:
    """Gives a turn to one thread at a time."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._busy = False
        self._waiting: tuple[deque[threading.Lock], deque[threading.Lock]] = (deque(), deque())

    @contextmanager
    def turn(self, first: bool) -> Generator[None]:
        """Wait for a turn, before all who are not `first`."""
        gate = threading.Lock()
        with self._guard:
            alone, self._busy = not self._busy, True
            if not alone:
                gate.acquire()
                self._waiting[0 if first else 1].append(gate)
        gate.acquire()
        try:
            yield
        finally:
            with self._guard:
                queue = self._waiting[0] or self._waiting[1]
                self._busy = bool(queue)
                if queue:
                    queue.popleft().release()
