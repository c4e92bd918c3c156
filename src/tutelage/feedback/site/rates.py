"""How often one may ask: a bucket for each person (or address) that leaks at a steady rate (token bucket).

Held in the process, since the site is one process. A person's rate is far above what hands can do and stops a script that ran
away; an address that shows a wrong link pays more, so links can't be guessed in bulk.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

MOST = 10_000
"""Buckets held; above it those that are full again are dropped."""


@dataclass
class Rates:
    """Buckets of `burst` requests, filled again by `rate` a second."""

    rate: float
    burst: float
    clock: Callable[[], float] = time.monotonic
    _left: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, who: str, cost: float = 1.0) -> float:
        """Take `cost` from the bucket of `who`; the seconds to wait when it is empty, else 0."""
        now = self.clock()
        with self._lock:
            left, since = self._left.get(who, (self.burst, now))
            left = min(self.burst, left + (now - since) * self.rate)
            if left < cost:
                self._left[who] = (left, now)
                return (cost - left) / self.rate
            self._left[who] = (left - cost, now)
            if len(self._left) > MOST:
                self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        full = [who for who, (left, since) in self._left.items() if left + (now - since) * self.rate >= self.burst]
        for who in full:
            del self._left[who]
