"""Where the sides run: this environment, or one of a peer's own below build/peers; and whether anything else runs beside them."""

import fcntl
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers import shapes
from benchmarks.peers.rival import ROOT

IDLE = 0.85
"""Share of the processors' time that must be idle before a comparison."""
HERE, TRL_NOW, TRL_PPO = "here", "trl-1.16.0", "trl-0.29.1"
PACKAGES = {
    TRL_NOW: ("trl==1.16.0", "datasets", *(("peft", "liger-kernel") if shapes.device().type == "cuda" else ())),
    TRL_PPO: ("trl==0.29.1", "datasets"),  # the last one with a PPO trainer
}
"""What is installed into the environments other than this one."""


def python_of(environment: str) -> Path:
    """The interpreter of an environment, which is made when it is missing: with the torch and the transformers of this one, so that
    sides differ in nothing but themselves."""
    if environment == HERE:
        return Path(sys.executable)
    folder = ROOT / "build" / "peers" / environment
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        print(f"making {folder}", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        torch, transformers = (f"{name}=={version(name).partition('+')[0]}" for name in ("torch", "transformers"))
        for packages in ((torch,), (transformers, *PACKAGES[environment])):
            subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        done.touch()
    return python


@contextmanager
def locked() -> Iterator[None]:
    """One benchmark at a time on this machine."""
    path = Path(tempfile.gettempdir()) / "tutelage-benchmark.lock"
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another benchmark holds {path}: two at a time measure each other")
        yield


def alone(seconds: float = 2.0) -> bool:
    """Are the processors idle, and the GPU, where one computes?"""

    def spent() -> tuple[float, float]:
        fields = [float(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return fields[3] + fields[4], sum(fields)

    idle, total = spent()
    time.sleep(seconds)
    later_idle, later_total = spent()
    return (later_idle - idle) >= IDLE * (later_total - total) and not _on_the_gpu()


def _on_the_gpu() -> str:
    """Who computes there already, as its driver names them."""
    if shapes.device().type == "cpu":
        return ""
    asked = ["nvidia-smi", "--query-compute-apps=pid,process_name", "--format=csv,noheader"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
