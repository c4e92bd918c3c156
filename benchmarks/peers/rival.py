"""A side's process, as seen from here."""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = (str(ROOT), str(ROOT / "src"))
"""What our side runs is what stands beside this file, whichever checkout the environment has installed."""
KEEP = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "8589934592", "MALLOC_TOP_PAD_": "268435456"}
"""Both sides' allocator keeps what it has: a peer that makes large tensors at every step would otherwise pay for fresh pages each time."""


def paths() -> dict[str, str]:
    """The environment of a process that runs what stands here."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(SOURCES)}


class Rival:
    """Starts the side and waits until it has done its work once."""

    def __init__(self, python: Path, module: str, work: str, size: str) -> None:
        self.name = f"{module} {work} {size}"
        self.log = ROOT / "build" / "peers" / f"{module.rpartition('.')[2]}-{work}-{size}.log".replace(" ", "-")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [str(python), "-m", "benchmarks.peers.side", module, work, size]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**paths(), **KEEP},
            )
        self._answer()

    def rate(self) -> float:
        """Units per second, of one more turn."""
        assert self.process.stdin is not None
        self.process.stdin.write("once\n")
        self.process.stdin.flush()
        amount, seconds = self._answer()
        return amount / seconds

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()

    def _answer(self) -> list[float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended; its last words:\n{self.log.read_text()[-2000:]}")
        return json.loads(line)
