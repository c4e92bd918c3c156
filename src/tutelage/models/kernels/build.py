"""Our kernels in C: compiled once per machine, a second or two, and kept in the user's cache folder.

They need a processor that multiplies bfloat16: x86 with AMX (Xeons since 2023), or with AVX-512's dot products (EPYC and Ryzen since 2022).
On any other, or where there is no Linux or no compiler, `library` is None and everything is computed by torch instead, exactly as well.
`TUTELAGE_KERNELS=off` says so too.
"""

import ctypes
import hashlib
import os
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

FOLDER = Path(__file__).parent
SOURCES = [FOLDER / name for name in ("tree_attention.c", "weight_gradient.c", "layers.c", "likelihood.c", "sums.c", "decode.c")]
HEADERS = [FOLDER / name for name in ("numbers.h", "rows.h", "tiles.h", "amx.h", "pairs.h")]
VECTORS = ("avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_bf16")
TILES = ("amx_tile", "amx_bf16")
"""As /proc/cpuinfo names them; a compiler is told so with -m, its own way of writing them."""
FLAGS = ("-O3", "-fopenmp", "-fPIC", "-shared", "-mfma")


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The loaded kernels, or None where it can't be had."""
    if os.environ.get("TUTELAGE_KERNELS", "on") == "off" or not multiplies_bf16():
        return None
    built = _built()
    if built is None:
        return None
    loaded = ctypes.CDLL(str(built))
    return loaded if loaded.kernels_ready() == 0 else None


def native() -> ctypes.CDLL:
    """The kernels, where it is known that there are any."""
    found = library()
    assert found is not None
    return found


def takes(x: Tensor) -> bool:
    """Can the kernels read these numbers?"""
    return x.dtype == torch.bfloat16 and x.device.type == "cpu" and library() is not None


def address(x: Tensor) -> ctypes.c_void_p:
    """Where a tensor's numbers lie, for a kernel."""
    return ctypes.c_void_p(x.data_ptr())


@lru_cache(maxsize=1)
def features() -> frozenset[str]:
    """What this processor can do, as Linux names it; nothing elsewhere."""
    info = Path("/proc/cpuinfo")
    return frozenset(info.read_text().partition("flags")[2].partition("\n")[0].split() if info.exists() else ())


def multiplies_bf16() -> bool:
    """Has this processor instructions for products of bfloat16? Without them bfloat16 is slower than float32."""
    return features().issuperset(VECTORS)


def units() -> Literal["AMX", "AVX-512"]:
    """What multiplies bfloat16 in a processor that does."""
    return "AMX" if features().issuperset(TILES) else "AVX-512"


def flags() -> tuple[str, ...]:
    """What a compiler is told for such a processor."""
    told = (*VECTORS, *(TILES if units() == "AMX" else ()))
    return (*FLAGS, *(f"-m{name.replace('avx512_', 'avx512').replace('_', '-')}" for name in told))


def _built() -> Path | None:
    compiler, told = os.environ.get("CC", "cc"), flags()
    text = b"".join(path.read_bytes() for path in (*SOURCES, *HEADERS))
    name = hashlib.sha256(text + " ".join((compiler, *told)).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tutelage" / "kernels"
    path = folder / f"{name}.so"
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            made = Path(work) / path.name
            subprocess.run([compiler, *told, *map(str, SOURCES), "-o", str(made), "-lm"], check=True, capture_output=True, text=True)
            made.replace(path)
    except (OSError, subprocess.CalledProcessError):
        return None  # no compiler, or nowhere to keep what it makes: `tutelage doctor` says that there are none
    return path
