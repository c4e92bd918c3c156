"""FlexAttention as the plan drives it, uncompiled on the processor, against the dense oracle; and the table of blocks, which only a
compiled kernel reads: what it names must hold every pair that is seen, and nothing else where it says that all are.

What isn't shown here: the code that torch makes of it, and how fast it is. tests/cuda does that where there is a GPU.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.attention import flex_attention

from tutelage.core.randomness import stream
from tutelage.data.batch import pack
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import Bench, policy
from tutelage.engine.invariants.checks import distance, gradient
from tutelage.models.attention import Plan, dense, flex, plan
from tutelage.models.attention.beside import NOTHING, Beside, Scoring
from tutelage.objectives.dpo import DPO

SINKS = torch.tensor([0.3, -1.0, 0.0, 2.0], dtype=torch.float64)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch refuses gradients of it on a processor, but computes them."""
    monkeypatch.setattr(flex_attention, "_validate_device", lambda *_: None)
    monkeypatch.setattr(flex_attention, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True, raising=False)  # torch 2.6 has it not
    monkeypatch.setattr(flex, "kernel", lambda: flex_attention.flex_attention)
    yield


def forest(k: int, sizes: int = 60) -> Plan:
    """Trees of k and of two responses, one-token responses among them, a document, padding."""
    draw = stream("flex", k)

    def ids(longest: int) -> tuple[int, ...]:
        return tuple(int(i) for i in draw.integers(3, 50, int(draw.integers(1, longest + 1))))

    first = Tree(ids(sizes), (*(ids(sizes) for _ in range(k - 1)), (5,)))
    return plan(pack([first, Tree(ids(sizes), (ids(sizes), ids(9))), Tree((), (ids(3 * sizes),))]))


def compared(how: Scoring, heads: int = 4, kv_heads: int = 2, width: int = 16, dtype: torch.dtype = torch.float64) -> float:
    """The largest relative error of output and gradients, in this dtype, against the dense oracle in float64."""
    T, generator = len(how.plan.segment_T), torch.Generator().manual_seed(heads)
    own = [x for x in (how.beside.sink_H, *(how.beside.prefix or ())) if x is not None]
    shapes = [(T, heads), (T, kv_heads), (T, kv_heads), (T, heads)]
    *qkv, slope = (torch.randn(*shape, width, generator=generator, dtype=torch.float64) for shape in shapes)
    slope[how.plan.starts[-1] :] = 0  # what padding says is nobody's business
    found, truth = (
        _all(attend, [x.to(d).requires_grad_() for x in (*qkv, *own)], slope.to(d), how)
        for attend, d in ((flex.attend, dtype), (dense.attend, torch.float64))
    )
    return max(float((a.double() - b).norm() / b.norm()) for a, b in zip(found, truth, strict=True))


def _all(attend, given: list[Tensor], slope: Tensor, how: Scoring) -> list[Tensor]:
    """Output and the gradients of everything that is given: q, k, v, and the sink or the prefix."""
    rest, beside = given[3:], how.beside
    sink = rest.pop(0) if beside.sink_H is not None else None
    own = replace(beside, sink_H=sink, prefix=(rest[0], rest[1]) if rest else None)
    out = attend(*given[:3], replace(how, beside=own))
    real = slope.abs().sum((1, 2)) > 0
    return [out.detach()[real], *torch.autograd.grad(out, given, slope)]


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("k", range(2, 10))
def test_it_is_the_dense_oracle(k: int) -> None:
    for heads, kv_heads, window in ((4, 4, None), (6, 2, None), (4, 2, 7), (4, 1, 100)):
        how = Scoring(forest(k), 0.3, window)
        assert compared(how, heads, kv_heads) < 1e-13
        assert compared(how, heads, kv_heads, dtype=torch.float32) < 2e-6


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("window", [None, 20])
@pytest.mark.parametrize("beside", ["cap", "sink", "prefix", "all"])
def test_what_attention_has_besides(beside: str, window: int | None) -> None:
    generator = torch.Generator().manual_seed(1)
    prefix = [torch.randn(5, 2, 16, generator=generator, dtype=torch.float64) for _ in range(2)]
    of = {"cap": 2.0, "sink_H": SINKS, "prefix": (prefix[0], prefix[1])}
    chosen = Beside(**{name: x for name, x in of.items() if beside == "all" or name.startswith(beside)})
    assert compared(Scoring(forest(4), 0.3, window, chosen)) < 1e-13


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("bench", [Bench("llama"), Bench("gemma3"), Bench("gemma2"), Bench("gpt_oss"), Bench(adapter="prefix")], ids=str)
def test_a_policy_has_the_gradient_of_its_other_way(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def made() -> Tensor:
        return gradient(Engine(policy(bench, DPO().needs), DPO()), DPO().specimens())

    expected, taken = made(), []
    monkeypatch.setattr(flex, "takes", lambda q_THd, how: taken.append(how.plan) or True)
    assert distance(made(), expected) < 1e-10 and taken


@pytest.mark.parametrize("prefix", [0, 5, 200])
@pytest.mark.parametrize("window", [None, 1, 30])
@pytest.mark.parametrize("k", [2, 9])
def test_blocks_hold_what_is_seen(k: int, window: int | None, prefix: int) -> None:
    made = forest(k, 200)
    seen = flex.sight(made, prefix)
    i, j = torch.arange(len(made.segment_T))[:, None], torch.arange(len(seen.first_K))[None]
    pairs_TK = flex.mask(seen, window).mask_mod(i, i, i, j)
    pairs_NB = pairs_TK.unflatten(1, (-1, flex.BLOCK)).unflatten(0, (-1, flex.BLOCK)).transpose(1, 2).flatten(2)
    some, every = flex.blocks(seen, window)
    assert not (pairs_NB.any(2) & ~some).any() and not (every & ~pairs_NB.all(2)).any()
    assert every.any() == pairs_NB.all(2).any()
    if window is None:
        assert torch.equal(some, pairs_NB.any(2)) and torch.equal(every, pairs_NB.all(2))
        T = made.starts[-1]
        assert torch.equal(pairs_TK[:T, :T], made.seen_TT[:T, :T]) and not pairs_TK[:, len(made.segment_T) + prefix :].any()
    listed = flex.mask(seen, window).to_dense()[0, 0].bool()
    assert torch.equal(listed, some)


@pytest.mark.usefixtures("uncompiled")
def test_a_neighbor_that_is_seen_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a segment is seen by one token of what comes after it."""
    made = forest(4)
    assert compared(Scoring(made, 0.3)) < 1e-13
    whole = flex.sight
    monkeypatch.setattr(flex, "sight", lambda p, prefix=0: replace(whole(p, prefix), end_K=whole(p, prefix).end_K + 1))
    assert compared(Scoring(forest(4), 0.3)) > 1e-3


def test_streams_of_many_lengths_are_traced_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for the first length, once for all others; whole, or torch says so. Only the making of a GPU's code is left out."""
    compiled = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, fullgraph: compiled(f, fullgraph=fullgraph, backend="aot_eager"))
    made = flex.kernel.__wrapped__()
    monkeypatch.setattr(flex, "kernel", lambda: made)
    torch._dynamo.utils.counters.clear()
    lengths = set[int]()
    for n in range(6):
        how = Scoring(forest(2 + n, 20 + 40 * n), 0.25)
        lengths.add(len(how.plan.segment_T))
        q_THd, k_THd, v_THd = (torch.randn(len(how.plan.segment_T), heads, 16) for heads in (4, 2, 2))
        out, truth = (attend(q_THd, k_THd, v_THd, how)[: how.plan.starts[-1]] for attend in (flex.attend, dense.attend))
        assert torch.allclose(out, truth, atol=1e-5)
    assert len(lengths) > 4 and torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2
    torch._dynamo.reset()


def test_segments_out_of_order_are_left_to_another_way() -> None:
    batch = pack([Tree((3, 4), ((5,), (6, 7)))])
    assert plan(batch).nested
    assert not plan(replace(batch, parent_S=torch.tensor([-1, -1, 0]))).nested
    assert not flex.takes(torch.zeros(128, 4, 16), Scoring(plan(batch), 1.0, None, NOTHING))  # on a processor
