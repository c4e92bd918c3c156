"""Two and three real processes (gloo) have the gradient of one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import Bench, policy
from tutelage.engine.invariants.checks import distance, gradient
from tutelage.engine.ranks import ranks
from tutelage.objectives.dpo import DPO
from tutelage.objectives.mixture import ppo_ptx
from tutelage.objectives.ppo import PPO
from tutelage.objectives.reward import Reward
from tutelage.objectives.sft import SFT

OBJECTIVES = {"sft": SFT(), "reward": Reward(), "dpo": DPO(), "ppo_ptx": ppo_ptx(PPO(), SFT(), 0.5)}


def all_gradients() -> dict[str, torch.Tensor]:
    place = ranks()
    return {
        f"{name}{' lora' if lora else ''}": gradient(
            Engine(policy(Bench(lora=lora), o.needs), o, micro_tokens=30, ranks=place), o.specimens()
        )
        for name, o in OBJECTIVES.items()
        for lora in (False, True)
    }


@pytest.mark.parametrize("size", [2, 3])
def test_processes_together_have_the_gradient_of_one(size: int, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, __file__, str(tmp_path / f"{rank}.pt")], env={**shared, "RANK": str(rank)})
        for rank in range(size)
    ]
    assert [process.wait(timeout=240) for process in started] == [0] * size
    alone = all_gradients()
    for rank in range(size):
        together = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, expected in alone.items():
            assert distance(together[name], expected) < 1e-10, (rank, name)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.save(all_gradients(), sys.argv[1])
