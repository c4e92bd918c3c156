"""Packed trees against a pass for each response, on every family that the attention interface serves: the same gradient.

To 1e-10 in float64, through an oracle that shares no code with what it checks; to 1e-5 of that in float32; in bfloat16 no further from
the truth than separate passes of plain transformers are.
"""

import copy

import pytest
import torch
from torch import Tensor

from tutelage.core.randomness import stream
from tutelage.data.batch import pack
from tutelage.data.tree import Tree
from tutelage.engine.invariants.bench import ADAPTERS, Bench, policy
from tutelage.engine.invariants.checks import distance
from tutelage.engine.invariants.families import SHAPES, VOCABULARY, make
from tutelage.engine.invariants.oracle import separate_reads
from tutelage.models.policy import Policy
from tutelage.models.roles import Role

NEEDS = ("logp", "entropy", "value@value")


def tree(prompt: int, *responses: int, seed: int = 0) -> Tree:
    """Random ids: a prompt and responses of these lengths."""
    draw = stream("families", seed, prompt, *responses)
    ids = [tuple(int(i) for i in draw.integers(2, VOCABULARY, n)) for n in (prompt, *responses)]
    return Tree(ids[0], tuple(ids[1:]))


def equal_responses() -> Tree:
    """The same response three times: its gradient three times over."""
    one = tree(11, 9)
    return Tree(one.prompt, one.responses * 3)


FORESTS = {
    "three equal": [equal_responses()],
    "two unequal": [tree(13, 4, 17)],
    "one token each": [tree(10, 1, 1, 1)],
    "several": [tree(70, 30, 41), equal_responses(), tree(5, 1), tree(0, 25), tree(12, 1, 8, 1, 20), tree(1, 2, 2)],
}


def loss(read: dict[str, Tensor]) -> Tensor:
    """A weight for each number, so that no two errors cancel."""
    total = torch.zeros((), dtype=torch.float64)
    for n, (_, x) in enumerate(sorted(read.items())):
        weight = torch.from_numpy(stream("weights", n).standard_normal(len(x)))
        total = total + (weight * x.double()).sum()
    return total


def gradient(made: Policy, read: dict[str, Tensor]) -> Tensor:
    """Of every trained parameter, as one vector."""
    parameters = [p for own in made.trainable().values() for p in own]
    for p in parameters:
        p.grad = None
    loss(read).backward()
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten().double() for p in parameters])


def difference(bench: Bench, trees: list[Tree]) -> float:
    """Between the packed gradient, in the bench's dtype, and the oracle's in float64."""
    made, true = policy(bench, NEEDS), policy(Bench(bench.shape, bench.adapter), NEEDS)
    for role in true.roles:  # a float32 draw of the same weights
        for exact, own in zip(_weights(true.roles[role]), _weights(made.roles[role]), strict=True):
            exact.data.copy_(own.data)
    batch = pack(trees)
    return distance(gradient(made, made.read(batch, NEEDS)), gradient(true, separate_reads(true, trees, batch, NEEDS)))


def _weights(role: Role) -> list[Tensor]:
    return [*role.network.parameters(), *(role.head.parameters() if role.head else ())]


@pytest.mark.parametrize("adapter", ["", *ADAPTERS])
@pytest.mark.parametrize("forest", FORESTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_packed_trees_are_separate_passes(shape: str, forest: str, adapter: str) -> None:
    assert difference(Bench(shape, adapter), FORESTS[forest]) < 1e-10


@pytest.mark.parametrize("adapter", ["", *ADAPTERS])
@pytest.mark.parametrize("shape", SHAPES)
def test_in_float32_to_five_digits(shape: str, adapter: str) -> None:
    assert difference(Bench(shape, adapter, dtype=torch.float32), FORESTS["several"]) < 1e-5


def rounded(shape: str, width: int, seed: int) -> torch.nn.Module:
    """A float32 network whose weights bfloat16 holds exactly, so that what is measured is the rounding of the computation."""
    model = make(shape, seed, torch.float32, width)
    for p in model.parameters():
        p.data = p.data.bfloat16().float()
    for router in (module for module in model.modules() if hasattr(module, "top_k")):
        router.top_k = router.num_experts  # which experts are chosen may hang on a rounding: both ways of reading would toss a coin
    return model


def logp_of(model: torch.nn.Module, prompt: tuple[int, ...], response: tuple[int, ...]) -> Tensor:
    """Of the response's tokens, from the model's own logits in float32 or wider. Nothing predicts the first token of a sequence."""
    ids, first = torch.tensor([[*prompt, *response]]), max(len(prompt), 1)
    logits = model(ids, use_cache=False).logits[0, first - 1 : -1]
    return logits.to(torch.promote_types(torch.float32, logits.dtype)).log_softmax(-1).gather(-1, ids[0, first:, None])[:, 0]


def one_by_one(model: torch.nn.Module, trees: list[Tree]) -> Tensor:
    """[M] by the model's own forward, a sequence at a time."""
    return torch.cat([logp_of(model, t.prompt, response) for t in trees for response in t.responses])


def plain(model: torch.nn.Module, trees: list[Tree], weight_M: Tensor) -> Tensor:
    """The gradient by plain transformers, eager attention, in the model's dtype: a pass for each response, added up in float64."""
    model.set_attn_implementation("eager")  # type: ignore[operator]
    parameters = list(model.parameters())
    total = [torch.zeros_like(p, dtype=torch.float64) for p in parameters]
    weights = iter(weight_M.split([len(r) - (not t.prompt) for t in trees for r in t.responses]))
    for t in trees:
        for response in t.responses:
            (logp_of(model, t.prompt, response).double() * next(weights)).sum().backward()
            for gathered, p in zip(total, parameters, strict=True):
                if p.grad is not None:
                    gathered += p.grad
                    p.grad = None
    return torch.cat([x.flatten() for x in total])


def bf16_errors(shape: str, width: int, seed: int) -> tuple[float, float]:
    """(of the packed gradient in bfloat16, of plain separate passes in bfloat16), against plain separate passes in float64."""
    trees = [tree(40, 30, 12, seed=seed), tree(17, 9, 9, 9, seed=seed), tree(8, 1, 1, 1, seed=seed), tree(0, 33, seed=seed)]
    batch, model = pack(trees), rounded(shape, width, seed)
    weight_M = torch.from_numpy(stream("bf16", seed).standard_normal(len(batch.rows_M)))
    truth = plain(copy.deepcopy(model).double(), trees, weight_M)
    alone = plain(copy.deepcopy(model).bfloat16(), trees, weight_M)
    made = Policy({"policy": Role(model, trains=True)}, precision="bf16")
    (made.read(batch, ("logp",))["logp"].double() * weight_M).sum().backward()
    own = {id(p): made.masters.of(p).grad for p in model.parameters()}
    packed = torch.cat([(torch.zeros_like(p) if own[id(p)] is None else own[id(p)]).flatten().double() for p in model.parameters()])
    return distance(packed, truth), distance(alone, truth)


@pytest.mark.parametrize("width", [32, 64])
@pytest.mark.parametrize("shape", SHAPES)
def test_bfloat16_is_as_near_to_the_truth_as_separate_passes(shape: str, width: int) -> None:
    """Eight draws together, so that no single one decides. Heads 8 wide go through torch, 16 wide through our kernel where there is one."""
    errors = torch.tensor([bf16_errors(shape, width, seed) for seed in range(8)])
    packed, alone = errors.pow(2).mean(0).sqrt().tolist()
    assert packed < 1.2 * alone, (packed, alone)
