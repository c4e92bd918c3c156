"""What is decided once per run directory, written into its manifest and obeyed whenever the run goes on.

Sums of floats depend on the number of threads, the kernels of the processor and torch's version; so a run that was begun with one
set of them gives the same bits only with the same set, and says so instead of drifting quietly.
"""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from tutelage.core.environment import number
from tutelage.core.errors import UserError
from tutelage.core.settings import build, to_plain
from tutelage.models import device
from tutelage.models.device import Device
from tutelage.models.kernels.build import library, multiplies_bf16


@dataclass(frozen=True)
class Decisions:
    """How this run computes."""

    threads: int
    """Threads inside one operation."""
    dtype: Literal["float32", "bfloat16"]
    """What networks compute in; sums, masters of weights and the optimizer stay float32 (models/precision.py)."""
    processor: str
    torch: str
    device: Device = "cpu"
    """Where networks compute (models/device.py)."""
    kernels: Literal["own", "flex", "torch"] = "torch"
    """Who computes attention: on a processor our kernels (models/kernels), on a GPU FlexAttention, or else torch's products."""
    gpu: str = ""
    """The GPU's model."""

    @property
    def precision(self) -> Literal["float32", "bf16"]:
        """`dtype` as policies name it."""
        return "bf16" if self.dtype == "bfloat16" else "float32"

    def mismatch(self, here: "Decisions") -> str:
        """What differs so that the same bits can't be promised, in words; empty when nothing does."""
        names = ("processor", "torch", "device", "kernels", "gpu")
        pairs = {name: (getattr(self, name), getattr(here, name)) for name in names}
        return ", ".join(f"{name} {theirs} (here {ours})" for name, (theirs, ours) in pairs.items() if theirs != ours)


def decide() -> Decisions:
    """For this machine. Threads: `OMP_NUM_THREADS` where it is set, else every core this process may use."""
    threads = number("OMP_NUM_THREADS", cores(), least=1)
    own = (threads, processor(), version("torch").split("+")[0])
    return _on_gpu(*own) if device.chosen() == "cuda" else _on_processor(*own)


def _on_processor(threads: int, processor: str, torch: str) -> Decisions:
    dtype, kernels = "bfloat16" if multiplies_bf16() else "float32", "own" if library() is not None else "torch"
    return Decisions(threads, dtype, processor, torch, kernels=kernels)


def _on_gpu(threads: int, processor: str, torch: str) -> Decisions:
    dtype, kernels = "bfloat16" if device.multiplies_bf16() else "float32", "flex" if device.compiles() else "torch"
    return Decisions(threads, dtype, processor, torch, "cuda", kernels, device.gpu())


def obey(noted: object, inexact: bool) -> Decisions:
    """The decisions noted in a manifest, or new ones where there are none. Raises UserError on another processor or torch."""
    here = decide()
    if noted is None:
        return here
    then = build(Decisions, noted, "manifest")
    differs = then.mismatch(here)
    if differs and not inexact:
        raise UserError(
            f"this run was begun with {differs}, so the same bits can't be promised here: "
            "go on there, or add --inexact, or choose another --out"
        )
    return here if differs else then


def cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's model, as the system names it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def available_bytes() -> int:
    """Memory that networks could have now: the GPU's, or what the system and this process's group of processes leave free without
    swapping."""
    if device.chosen() == "cuda":
        return device.free_bytes()
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        free = int(fields["MemAvailable"].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and limit.read_text().strip() != "max":
        free = min(free, int(limit.read_text()) - int(used.read_text()))
    return free


def said(decisions: Decisions) -> str:
    """In a line, for people."""
    kernels = {"own": "kernels of its own", "flex": "FlexAttention", "torch": "torch's products"}[decisions.kernels]
    where = decisions.gpu or decisions.processor
    return f"computes on {decisions.device} ({where}) in {decisions.dtype}, attention by {kernels}, {decisions.threads} threads"


def plain(decisions: Decisions) -> object:
    """For the manifest."""
    return to_plain(decisions)
