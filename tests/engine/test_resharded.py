"""A checkpoint of sharded weights is read by any number of processes, whole or sharded, and so is one of whole weights."""

import sys
from pathlib import Path

import pytest
import torch

from tests.engine import gloo
from tests.processes import together
from tutelage.engine.checkpoint import FILE
from tutelage.engine.invariants.checks import distance
from tutelage.engine.ranks import Ranks

STOP = 8


def trained(folder: Path, size: int, way: str, stop: int) -> list[torch.Tensor]:
    """What each process has in the end; nothing where it stopped before."""
    out = folder / f"out-{size}-{way}-{stop}"
    out.mkdir()
    command = [sys.executable, "-m", "tests.engine.gloo", "train"]
    together(size, lambda rank: [*command, str(out / f"{rank}.pt"), way, str(folder), str(stop)], timeout=240)
    return [torch.load(path) for path in sorted(out.iterdir())]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    return gloo.trained("whole", Ranks(), tmp_path_factory.mktemp("whole"), -1)


@pytest.mark.parametrize(
    "first, then",
    [
        ((2, "shards"), (1, "whole")),
        pytest.param((2, "shards"), (4, "shards"), marks=pytest.mark.long),
        pytest.param((1, "whole"), (3, "shards+"), marks=pytest.mark.long),
        pytest.param((2, "whole"), (2, "shards"), marks=pytest.mark.long),
        pytest.param((2, "shards"), (2, "whole"), marks=pytest.mark.long),
    ],
    ids=str,
)
def test_begun_by_some_and_ended_by_others(whole: torch.Tensor, tmp_path: Path, first: tuple[int, str], then: tuple[int, str]) -> None:
    assert trained(tmp_path, *first, STOP) == []
    sharded = first[1] != "whole"
    assert (tmp_path / FILE).exists() != sharded and (tmp_path / "checkpoint-6").exists() == sharded
    for own in trained(tmp_path, *then, -1):
        assert distance(own, whole) < 1e-9
    left = sorted(path.name for path in tmp_path.iterdir() if "checkpoint" in path.name)
    assert left == (["checkpoint-12"] if then[1] != "whole" else [FILE])  # of each time the last alone
    steps = [line.partition(",")[0] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == [f'{{"step":{n}' for n in range(1, 13)]


def test_other_numbers_would_be_seen(whole: torch.Tensor, tmp_path: Path) -> None:
    """The planted fault: moments forgotten."""
    (own,) = trained(tmp_path, 1, "whole", STOP) or [None]
    assert own is None
    saved = torch.load(tmp_path / FILE)
    saved["engine"] = {name: x if name.endswith("weight") else torch.zeros_like(x) for name, x in saved["engine"].items()}
    torch.save(saved, tmp_path / FILE)
    (own,) = trained(tmp_path, 1, "whole", -1)
    assert distance(own, whole) > 1e-6
