"""Two and three real processes (gloo) have the gradient of one."""

import sys
from pathlib import Path

import pytest
import torch

from tests.processes import together
from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import Bench, policy
from tutelage.engine.invariants.checks import distance, gradient
from tutelage.engine.ranks import ranks
from tutelage.objectives.dpo import DPO
from tutelage.objectives.mixture import with_text
from tutelage.objectives.ppo import PPO
from tutelage.objectives.reward import Reward
from tutelage.objectives.sft import SFT

OBJECTIVES = {"sft": SFT(), "reward": Reward(), "dpo": DPO(), "ppo_ptx": with_text("ppo", PPO(), SFT(), 0.5)}


def all_gradients() -> dict[str, torch.Tensor]:
    place = ranks()
    return {
        f"{name} {adapter}": gradient(Engine(policy(Bench(adapter=adapter), o.needs), o, micro_tokens=30, ranks=place), o.specimens())
        for name, o in OBJECTIVES.items()
        for adapter in ("", "lora", "dora")
    }


@pytest.mark.parametrize("size", [2, 3])
def test_processes_together_have_the_gradient_of_one(size: int, tmp_path: Path) -> None:
    together(size, lambda rank: [sys.executable, "-m", "tests.engine.test_ranks", str(tmp_path / f"{rank}.pt")], timeout=240)
    alone = all_gradients()
    for rank in range(size):
        loaded = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, expected in alone.items():
            assert distance(loaded[name], expected) < 1e-10, (rank, name)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.save(all_gradients(), sys.argv[1])
