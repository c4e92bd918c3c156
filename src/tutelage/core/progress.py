"""What long work shows while it runs: the stage, tokens per second, time left, and a few key figures.

On a terminal one line is redrawn in place and finished stages stay above it; elsewhere a plain line is printed now and then. The
rate is that of this process alone: what an earlier, interrupted one did counts as steps done, not as speed.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text


class Progress(Protocol):
    """Where work says how far it is."""

    def stage(self, name: str, total_steps: int) -> None:
        """A new piece of work begins; `total_steps` 0 when unknown."""
        ...

    def tick(self, step: int, tokens: int, **figures: float) -> None:
        """`step` steps are done; the last of them took `tokens` tokens. `figures` are shown as they are named."""
        ...

    def note(self, text: str) -> None:
        """A sentence that stays."""
        ...


@dataclass(frozen=True)
class Pace:
    """How far one stage is. Seconds are counted from `began`; steps done before that are in `first`."""

    name: str
    total: int
    began: float
    first: int = -1
    step: int = 0
    tokens: int = 0
    figures: dict[str, float] = field(default_factory=dict[str, float])

    def ticked(self, step: int, tokens: int, figures: dict[str, float]) -> "Pace":
        first = self.first if self.first >= 0 else max(0, step - 1)
        return replace(self, first=first, step=step, tokens=self.tokens + tokens, figures=figures)

    def rate(self, now: float) -> float:
        """Tokens per second."""
        return self.tokens / max(now - self.began, 1e-9)

    def left(self, now: float) -> float | None:
        """Seconds that remain at this process's pace; none before the first step or without a total."""
        done = self.step - self.first
        if self.first < 0 or done <= 0 or not self.total:
            return None
        return max(0.0, (self.total - self.step) * (now - self.began) / done)

    def line(self, now: float) -> str:
        """All of it in one line."""
        parts = [f"{self.name}: {self.step:,}/{self.total:,}" if self.total else f"{self.name}: {self.step:,}"]
        if self.tokens:
            parts.append(f"{self.rate(now):,.0f} tokens/s")
        left = self.left(now)
        if left is not None:
            parts.append(f"{clock(left)} left")
        return "  ".join(parts + [f"{name} {value:.4g}" for name, value in self.figures.items()])


def clock(seconds: float) -> str:
    """Seconds as people read them: 0:07, 12:30, 2:05:00."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Silent:
    """Shows nothing."""

    def stage(self, name: str, total_steps: int) -> None: ...

    def tick(self, step: int, tokens: int, **figures: float) -> None: ...

    def note(self, text: str) -> None: ...


class Lines:
    """Plain lines, at most one every `every` seconds for each stage: for logs and pipes."""

    def __init__(self, stream: TextIO = sys.stderr, every: float = 10.0, now: Callable[[], float] = time.monotonic) -> None:
        self.stream, self.every, self.now = stream, every, now
        self.pace: Pace | None = None
        self.printed = 0.0

    def stage(self, name: str, total_steps: int) -> None:
        self.pace = Pace(name, total_steps, self.now())
        self.printed = self.now()
        self.note(f"{name} begins")

    def tick(self, step: int, tokens: int, **figures: float) -> None:
        if self.pace is None:
            return
        self.pace = self.pace.ticked(step, tokens, figures)
        now = self.now()
        if now - self.printed >= self.every or step == self.pace.total:
            self.printed = now
            self.note(self.pace.line(now))

    def note(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


class Display:
    """One line redrawn in place on a terminal; a context manager, so that the cursor comes back whatever happens."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.pace: Pace | None = None
        self.live = Live(console=console, get_renderable=self.render, refresh_per_second=4, transient=True)

    def __enter__(self) -> "Display":
        self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.live.stop()

    def render(self) -> Text:
        if self.pace is None:
            return Text("")
        pace, now = self.pace, time.monotonic()
        share = pace.step / pace.total if pace.total else 0.0
        bar = "━" * round(24 * share)
        return Text.assemble(
            (bar, "green"), ("━" * (24 - len(bar)), "bright_black"), "  ", pace.line(now), no_wrap=True, overflow="ellipsis"
        )

    def stage(self, name: str, total_steps: int) -> None:
        self.pace = Pace(name, total_steps, time.monotonic())

    def tick(self, step: int, tokens: int, **figures: float) -> None:
        if self.pace is not None:
            self.pace = self.pace.ticked(step, tokens, figures)

    def note(self, text: str) -> None:
        self.console.print(escape(text), highlight=False)
