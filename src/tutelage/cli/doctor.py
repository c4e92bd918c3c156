"""`tutelage doctor`: what this machine will use, and why."""

import os
import platform
import shutil
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from tutelage.cli import screen
from tutelage.models.kernels.build import units
from tutelage.recipes.cost import forget_peak
from tutelage.recipes.decisions import available_bytes, cores, decide
from tutelage.recipes.forecast.network import operations_per_second

GIB = 2**30
KERNELS = {
    "own": "compiled for this processor's",
    "flex": "FlexAttention, compiled for this GPU at the first step",
    "torch": "ours need Linux, a C compiler, and AMX or AVX-512 with bfloat16",
}
LIBRARIES = ("tutelage", "torch", "transformers", "peft", "tokenizers", "numpy")


def command() -> None:
    """Show what this machine will use, and why."""
    table = Table(box=None, show_header=False)
    for name, value, why in rows():
        table.add_row(name, value, why)
    screen.out.print(table)


def rows() -> list[tuple[str, str, str]]:
    """(what, value, why or what follows from it)."""
    chosen = decide()
    disk = shutil.disk_usage(Path.cwd()).free
    threads = "as OMP_NUM_THREADS says" if os.environ.get("OMP_NUM_THREADS") else "one for each core that this process may use"
    waiting = os.environ.get("OMP_WAIT_POLICY", "")
    return [
        ("python", platform.python_version(), ""),
        *((name, version(name), "") for name in LIBRARIES),
        ("processor", chosen.processor, f"{cores()} cores, about {operations_per_second(chosen) / 1e9:.0f} GFLOP/s in {chosen.dtype}"),
        ("device", chosen.device, chosen.gpu or "a GPU where torch finds one; TUTELAGE_DEVICE says otherwise"),
        ("threads", str(chosen.threads), threads),
        ("waiting threads", waiting or "spin", "" if waiting == "passive" else "OMP_WAIT_POLICY=passive leaves the cores to other work"),
        ("precision", chosen.dtype, "sums, masters of weights and the optimizer in float32; another for a stage: machine.precision"),
        ("kernels", chosen.kernels, f"{KERNELS[chosen.kernels]} {units()}" if chosen.kernels == "own" else KERNELS[chosen.kernels]),
        ("memory", f"{available_bytes() / GIB:.1f} GiB free", "a stage that needs more is refused before it begins"),
        ("disk", f"{disk / GIB:.1f} GiB free", "too little for a demo: it writes about 1 GiB" if disk < GIB else ""),
        ("peak memory", "of each stage" if forget_peak() else "of the whole process", "as this system lets it be measured"),
    ]
