"""Our side: the product's engine, objectives and packing, as the stages use them."""

import time
from collections.abc import Callable, Sequence

import torch

from benchmarks.peers import shapes
from tutelage.data.pieces import Packing
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.rates import Rates
from tutelage.models.policy import Policy
from tutelage.models.roles import Role
from tutelage.objectives.objective import Objective
from tutelage.objectives.sft import SFT
from tutelage.recipes.decisions import decide

Once = Callable[[], tuple[float, float]]
STEP = 2048


def sft(size: str) -> Once:
    """Tokens per second of fine-tuning."""
    trees = [Tree(tuple(prompt), (tuple(response),)) for prompt, response in shapes.fine_tuning(SFT_ROWS, 0)]
    packing = Packing(tuple(trees), STEP)
    engine = learner(size, SFT())
    return lambda: timed(engine, [packing.at(step) for step in range(packing.steps)], sum(tree.length for tree in trees))


SFT_ROWS = 96


def learner(size: str, objective: Objective) -> Engine:
    decided = decide()
    torch.set_num_threads(decided.threads)
    role = Role(shapes.model(size), trains=True)
    policy = Policy({"policy": role}, shapes.tokenizer(), "bf16" if decided.dtype == "bfloat16" else "float32")
    return Engine(policy, objective, {"policy": Rates(learning_rate=1e-4)})


def timed(engine: Engine, steps: Sequence[Sequence[Tree]], amount: float) -> tuple[float, float]:
    start = time.perf_counter()
    for number, trees in enumerate(steps):
        engine.step(trees, number, len(steps))
    return amount, time.perf_counter() - start


WORKS: dict[str, Callable[[str], Once]] = {"sft": sft}
