"""Our side: the product's engine, objectives, packing and sampler, as the stages use them."""

import copy
import time
from collections.abc import Callable, Sequence
from itertools import combinations

import torch

from benchmarks.peers import shapes
from tutelage.data.pieces import Packing
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.rates import Rates
from tutelage.models.adapters import Lora, wrap
from tutelage.models.heads import ScalarHead
from tutelage.models.policy import Policy
from tutelage.models.precision import Precision, narrow
from tutelage.models.roles import Role, place, width
from tutelage.models.sampler import Sampler, Sampling
from tutelage.objectives.dpo import DPO
from tutelage.objectives.objective import Objective
from tutelage.objectives.reward import Reward
from tutelage.objectives.sft import SFT
from tutelage.recipes.decisions import decide

Once = Callable[[], tuple[float, float]]
STEP = 2048


def sft(size: str) -> Once:
    """Tokens of fine-tuning."""
    trees = [Tree(tuple(prompt), (tuple(response),)) for prompt, response in shapes.fine_tuning(shapes.SFT_ROWS, 0)]
    packing, engine = Packing(tuple(trees), STEP), learner(size, SFT())
    return lambda: timed(engine, [packing.at(step) for step in range(packing.steps)], sum(tree.length for tree in trees))


def lora(size: str) -> Once:
    """Tokens of fine-tuning by adapters, two long documents a step."""
    trees = [Tree((), (tuple(ids),)) for ids in shapes.documents()]
    engine = learner(size, SFT(), adapter=Lora(rank=shapes.RANK))
    return lambda: timed(engine, [trees[n : n + 2] for n in range(0, len(trees), 2)], sum(tree.length for tree in trees))


def reward(size: str, k: int) -> Once:
    """Comparisons: all pairs of rankings of `k` responses."""
    pairs = tuple((a, b, 2 / (k * (k - 1)), 0.0, 1.0) for a, b in combinations(range(k), 2))
    trees = preferences(64, k, pairs)
    engine = learner(size, Reward(), head=True)
    each = max(1, round(STEP / (shapes.PROMPT + k * shapes.RESPONSE)))
    return lambda: timed(engine, [trees[n : n + each] for n in range(0, len(trees), each)], len(trees) * len(pairs))


def dpo(size: str) -> Once:
    """Pairs, read by the policy and by its reference."""
    trees = preferences(96, 2, ((0, 1, 1.0, 0.0, 1.0),))
    engine = learner(size, DPO(), reference=True)
    return lambda: timed(engine, [trees[n : n + 8] for n in range(0, len(trees), 8)], len(trees))


def sample(size: str) -> Once:
    """Tokens written: eight responses to each of eight prompts."""
    threads(), torch.manual_seed(0)
    model = shapes.model(size).to(shapes.device()).requires_grad_(False).eval()
    sampler = Sampler(narrow(model) if precision() == "bf16" else model, end=-1)
    prompts = [prompt for prompt, _ in shapes.prompts_with_responses(8, shapes.SAMPLED, 0, 0, 0) for _ in range(8)]

    def once() -> tuple[float, float]:
        start = time.perf_counter()
        written = sampler.generate(prompts, [("sample", n) for n in range(len(prompts))], Sampling(max_tokens=shapes.SAMPLED))
        return sum(len(response.ids) for response in written), time.perf_counter() - start

    return once


def preferences(count: int, k: int, pairs: Sequence[tuple[int, int, float, float, float]]) -> list[Tree]:
    given = shapes.prompts_with_responses(count, shapes.PROMPT, k, shapes.RESPONSE, 0)
    return [Tree(tuple(prompt), tuple(map(tuple, responses)), columns={"preferences": pairs}) for prompt, responses in given]


def learner(size: str, objective: Objective, head: bool = False, reference: bool = False, adapter: Lora | None = None) -> Engine:
    threads()
    network = shapes.model(size)
    roles = {"policy": Role(network, None, ScalarHead(width(network)) if head else None, trains=True)}
    if adapter is not None:
        roles = {"policy": Role(wrap(network, adapter, "policy", 0), "policy", trains=True)}
    if reference:
        roles["reference"] = Role(copy.deepcopy(network))
    placed = {name: place(role, shapes.device()) for name, role in roles.items()}
    return Engine(Policy(placed, shapes.tokenizer(), precision()), objective, {"policy": Rates(learning_rate=1e-4)})


def threads() -> None:
    torch.set_num_threads(decide().threads)


def precision() -> Precision:
    return decide().precision


def timed(engine: Engine, steps: Sequence[Sequence[Tree]], amount: float) -> tuple[float, float]:
    start = time.perf_counter()
    for number, trees in enumerate(steps):
        engine.step(trees, number, len(steps))
    shapes.finished()
    return amount, time.perf_counter() - start


WORKS: dict[str, Callable[[str], Once]] = {
    "sft": sft,
    "sft lora": lora,
    "reward K=4": lambda size: reward(size, 4),
    "reward K=9": lambda size: reward(size, 9),
    "dpo": dpo,
    "sample": sample,
}
