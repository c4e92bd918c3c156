"""Our kernels in C: compiled once per machine, a second or two, and kept in the user's cache folder.

Where the processor lacks what it needs (Linux on x86 with AMX and AVX-512), or there is no compiler, `library` is None and everything is
computed by torch instead, exactly as well. `TUTELAGE_KERNELS=off` says so too.
"""

import ctypes
import hashlib
import os
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

FOLDER = Path(__file__).parent
SOURCES = [FOLDER / name for name in ("tree_attention.c", "weight_gradient.c", "layers.c", "likelihood.c", "sums.c", "decode.c")]
HEADERS = [FOLDER / name for name in ("numbers.h", "rows.h", "tiles.h")]
FEATURES = ("amx_bf16", "amx_tile", "avx512bw", "avx512vl", "avx512dq", "avx512_bf16")
"""As /proc/cpuinfo names them."""
FLAGS = (
    *("-O3", "-fopenmp", "-fPIC", "-shared", "-mfma"),
    *("-mamx-tile", "-mamx-bf16", "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512bf16"),
)


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The loaded kernels, or None where it can't be had."""
    if os.environ.get("TUTELAGE_KERNELS", "on") == "off" or not _able():
        return None
    built = _built()
    if built is None:
        return None
    loaded = ctypes.CDLL(str(built))
    return loaded if loaded.tree_attention_ready() == 0 else None


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


def _able() -> bool:
    info = Path("/proc/cpuinfo")
    features = set(info.read_text().partition("flags")[2].partition("\n")[0].split()) if info.exists() else set()
    return features.issuperset(FEATURES)


def _built() -> Path | None:
    compiler = os.environ.get("CC", "cc")
    text = b"".join(path.read_bytes() for path in (*SOURCES, *HEADERS))
    name = hashlib.sha256(text + " ".join((compiler, *FLAGS)).encode()).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tutelage" / "kernels"
    path = folder / f"{name}.so"
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            made = Path(work) / path.name
            subprocess.run([compiler, *FLAGS, *map(str, SOURCES), "-o", str(made), "-lm"], check=True, capture_output=True, text=True)
            made.replace(path)
    except (OSError, subprocess.CalledProcessError):
        return None  # no compiler, or nowhere to keep what it makes: `tutelage doctor` says that there are none
    return path
