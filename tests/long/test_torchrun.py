"""`tutelage run` by two processes: what they learn is what one learns, and the run directory is written by one of them."""

import json
import sys
from pathlib import Path

import pytest

from tests.processes import together

pytestmark = pytest.mark.long
SMALL = ["model.new=nano", "stages.base.tokens=8000", "stages.preferences.count=24", "stages.ppo.updates=1", "stages.evaluate.count=24"]


def run(out: Path, size: int) -> None:
    command = [sys.executable, "-m", "tutelage", "run", "instructgpt", *SMALL, "--out", str(out)]
    together(size, lambda rank: command, timeout=900)


def metrics(out: Path, stage: str) -> list[dict]:
    (path,) = out.glob(f"artifacts/{stage}-*/metrics.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_two_processes_make_what_one_makes(tmp_path: Path) -> None:
    run(tmp_path / "one", 1)
    run(tmp_path / "two", 2)
    for stage, nll in (("base", "nll"), ("sft", "sft/nll")):
        one, two = (metrics(tmp_path / name, stage) for name in ("one", "two"))
        assert [row["step"] for row in two] == [row["step"] for row in one] == list(range(1, len(one) + 1))
        assert two[0][nll] == pytest.approx(one[0][nll], rel=2e-3)  # bfloat16, packed into other streams
        assert two[-1][nll] == pytest.approx(one[-1][nll], rel=2e-2)
    assert {path.name.split("-")[0] for path in (tmp_path / "two" / "artifacts").iterdir()} == {
        path.name.split("-")[0] for path in (tmp_path / "one" / "artifacts").iterdir()
    }
    assert all(abs(row["kl"]) < 1 for row in metrics(tmp_path / "two", "ppo") if "kl" in row)
