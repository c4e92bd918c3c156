"""What a stage costs: tokens, seconds, peak memory; kept in a small file so that the time before a kill is counted too."""

import json
import resource
import sys
import time
from pathlib import Path

from tutelage.core.files import write_atomic
from tutelage.core.progress import Progress

FILE = "cost.json"
EVERY = 5.0
"""Seconds between two savings: what a kill may leave uncounted."""


class Meter:
    """A `Progress` that passes everything on and adds up what goes by. Work done twice because of a kill is counted twice: it was paid."""

    def __init__(self, folder: Path, shown: Progress) -> None:
        self.file, self.shown = folder / FILE, shown
        saved = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.tokens, self.spent, self.peak = (saved.get(name, 0) for name in ("tokens", "seconds", "peak_rss"))
        self.resumed = bool(saved)
        self.began = self.saved = time.monotonic()
        forget_peak()

    def stage(self, name: str, total_steps: int) -> None:
        """Passed on."""
        self.shown.stage(name, total_steps)

    def tick(self, step: int, tokens: int, **figures: float) -> None:
        """Passed on, and its tokens counted."""
        self.tokens += tokens
        self.shown.tick(step, tokens, **figures)
        if time.monotonic() - self.saved >= EVERY:
            self.save()

    def note(self, text: str) -> None:
        """Passed on."""
        self.shown.note(text)

    def finish(self) -> dict[str, float]:
        """The cost for the manifest; its file is no longer needed."""
        cost = self.cost()
        self.file.unlink(missing_ok=True)
        return cost

    def save(self) -> None:
        """Write down what was spent so far."""
        self.saved = time.monotonic()
        write_atomic(self.file, json.dumps(self.cost()))

    def cost(self) -> dict[str, float]:
        """tokens, seconds, tokens_per_s, peak_rss (bytes)."""
        seconds = self.spent + time.monotonic() - self.began
        per_second = self.tokens / seconds if seconds else 0.0
        return {"tokens": self.tokens, "seconds": seconds, "tokens_per_s": per_second, "peak_rss": max(self.peak, peak_bytes())}


def forget_peak() -> bool:
    """Let the system measure this process's peak memory anew, so that a stage's peak is its own; false where it can't (outside Linux,
    in some containers): the peak is then the whole process's."""
    mark = Path("/proc/self/clear_refs")
    try:
        mark.write_text("5")
    except OSError:
        return False
    return True


def peak_bytes() -> int:
    """Peak resident memory since `forget_peak`; of the whole process where the system can't tell."""
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(fields["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
