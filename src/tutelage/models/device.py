"""Where this process computes: on its GPU where torch finds one, else on the processor. `TUTELAGE_DEVICE=cpu` or `cuda` says which.

A run decides it once (recipes/decisions.py). A policy is where its networks are: batches are brought there to be read, plans are made by
the processor, numbers come back when somebody asks for them.
"""

import os
from importlib.util import find_spec
from typing import Literal

import torch

from tutelage.core.environment import number
from tutelage.core.errors import UserError

Device = Literal["cpu", "cuda"]
NAME = "TUTELAGE_DEVICE"


def chosen() -> Device:
    """What this process would decide now. Raises UserError for a device that isn't there."""
    wanted = os.environ.get(NAME, "")
    if wanted not in ("", "cpu", "cuda"):
        raise UserError(f"{NAME} is {wanted!r}; it can be cpu or cuda, or left out: a GPU where there is one")
    there = wanted != "cpu" and torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise UserError(f"{NAME} is cuda, but torch {torch.__version__} finds no GPU here; set it to cpu, or install a torch for this GPU")
    return "cuda" if there else "cpu"


def own_gpu() -> None:
    """Under torchrun each process takes the GPU of its number on this machine. UserError where there are fewer GPUs than processes."""
    place, there = number("LOCAL_RANK", 0), torch.cuda.device_count()
    if place >= there:
        raise UserError(f"process {place + 1} of this machine has no GPU of its own: there are {there}; start {there}, or set {NAME}=cpu")
    torch.cuda.set_device(place)


def here(device: Device) -> torch.device:
    """The device of a run's decision: this process's own GPU, or the processor."""
    return torch.device(device, torch.cuda.current_device()) if device == "cuda" else torch.device(device)


def gpus() -> int:
    """How many there are for processes of this machine; 0 where it computes on its processor."""
    return torch.cuda.device_count() if chosen() == "cuda" else 0


def compiles() -> bool:
    """Can torch compile kernels for this process's GPU? `TUTELAGE_KERNELS=off` says no, as on a processor."""
    return os.environ.get("TUTELAGE_KERNELS", "on") != "off" and find_spec("triton") is not None


def gpu() -> str:
    """The model of this process's GPU, as its driver names it."""
    return torch.cuda.get_device_name()


def multiplies_bf16() -> bool:
    """Has this process's GPU matrix units for bfloat16?"""
    return torch.cuda.is_bf16_supported(including_emulation=False)


def free_bytes() -> int:
    """Memory of this process's GPU that nobody holds."""
    return torch.cuda.mem_get_info()[0]


def finished(device: torch.device) -> None:
    """Wait until `device` has done all it was asked for: before a clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget_peak() -> None:
    """Let this process's GPU, if it has one, measure its peak memory anew."""
    if chosen() == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak_bytes() -> int:
    """Of this process's GPU since then: what torch took from it; 0 without one."""
    return torch.cuda.max_memory_reserved() if chosen() == "cuda" else 0
