"""Our kernels against float64: every output and gradient within what rounding to bfloat16 allows, whatever the shapes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tutelage.core.randomness import stream
from tutelage.data.batch import pack
from tutelage.data.tree import Tree
from tutelage.models.attention import Plan, blocks, native, plan
from tutelage.models.attention.beside import Beside, Scoring
from tutelage.models.kernels import build
from tutelage.models.kernels.build import library
from tutelage.models.likelihood import likelihood, total_nll
from tutelage.models.sums import add

pytestmark = pytest.mark.skipif(library() is None, reason="no processor that multiplies bfloat16, or no compiler")
HALF_STEP = 2.0**-8
"""The relative error of a number rounded to bfloat16 is at most half of this."""


@pytest.fixture(autouse=True, params=["AMX", "AVX-512"])
def units(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each way to multiply that this processor has; one with AMX has both."""
    if request.param == "AMX" and build.units() != "AMX":
        pytest.skip("a processor without AMX")
    if request.param != build.units():
        monkeypatch.setattr(build, "features", lambda: frozenset(build.VECTORS))
    build.library.cache_clear()
    assert library() is not None and build.units() == request.param and ("-mamx-tile" in build.flags()) == (request.param == "AMX")
    yield request.param
    build.library.cache_clear()


def forest(seed: int, sizes: int = 90) -> Plan:
    """Several trees with one to nine responses, some longer than a block, some of one token; a document; padding."""
    draw = stream("native", seed)

    def ids(longest: int) -> tuple[int, ...]:
        return tuple(int(i) for i in draw.integers(3, 50, int(draw.integers(1, longest + 1))))

    trees = [Tree(ids(sizes), tuple(ids(sizes) for _ in range(k))) for k in (1, 4, 9, 2)]
    return plan(pack([*trees, Tree((), (ids(3 * sizes),))]))


def inputs(T: int, heads: int, kv_heads: int, width: int) -> list[Tensor]:
    """q, k, v and the gradient of the output; seen as a model hands them over, heads before tokens in memory for q."""
    generator = torch.Generator().manual_seed(T + heads + width)
    made = [torch.randn(T, h, width, generator=generator).bfloat16() for h in (heads, kv_heads, kv_heads, heads)]
    return [made[0].transpose(0, 1).contiguous().transpose(0, 1), *made[1:]]


def heard(out: Tensor, stream_plan: Plan) -> Tensor:
    """What padding says is nobody's business."""
    return out.where((stream_plan.segment_T < len(stream_plan.lineages))[:, None, None], 0)


def off(found: Tensor, truth: Tensor) -> float:
    return float((found.double() - truth).norm() / truth.norm())


def worst(found: Tensor, truth: Tensor) -> float:
    """The largest error of a token, as a share of what is usual."""
    return float((found.double() - truth).flatten(1).norm(dim=1).max() / truth.flatten(1).norm(dim=1).mean())


def compared(stream_plan: Plan, given: list[Tensor], window: int | None, error: Callable[[Tensor, Tensor], float] = off) -> list[float]:
    """Errors of output and gradients, against torch's way in float64."""
    *qkv, slope = given
    told: list[list[Tensor]] = []
    for attend, dtype in ((native.attend, torch.bfloat16), (blocks.attend, torch.float64)):
        own = [x.detach().to(dtype).requires_grad_() for x in qkv]
        out = heard(attend(own[0], own[1], own[2], Scoring(stream_plan, qkv[0].shape[-1] ** -0.5, window)), stream_plan)
        out.backward(slope.to(dtype))
        told.append([out.detach(), *(x.grad for x in own if x.grad is not None)])
    return [error(a, b) for a, b in zip(*told, strict=True)]


@pytest.mark.parametrize(("heads", "kv_heads", "width"), [(6, 6, 64), (4, 2, 48), (4, 1, 96), (2, 2, 256), (3, 3, 16), (8, 2, 128)])
@pytest.mark.parametrize("window", [None, 8, 100])
def test_attention_is_that_of_float64(heads: int, kv_heads: int, width: int, window: int | None) -> None:
    stream_plan = forest(heads)
    errors = compared(stream_plan, inputs(len(stream_plan.segment_T), heads, kv_heads, width), window)
    assert all(error < HALF_STEP for error in errors), errors


def test_one_mistaken_bit_is_noticed() -> None:
    stream_plan = forest(0)
    given = inputs(len(stream_plan.segment_T), 2, 2, 64)
    right = native.pairs(stream_plan, None)
    pair = int(right.first[1])
    stream_plan.forms[("pairs", None)] = replace(right, seen_NK=right.seen_NK.clone())
    usual = compared(stream_plan, given, None, worst)
    stream_plan.forms[("pairs", None)].seen_NK[pair, 5] ^= 1 << 40
    assert max(usual) < 0.04 < max(compared(stream_plan, given, None, worst))


def test_scores_of_any_size_stay_finite() -> None:
    stream_plan = forest(1)
    q, k, v, _ = inputs(len(stream_plan.segment_T), 2, 2, 32)
    large = [q * 300, k * 300, v]
    found = native.attend(*large, Scoring(stream_plan, 1.0))
    assert bool(found.isfinite().all())
    truth = blocks.attend(*(x.double() for x in large), Scoring(stream_plan, 1.0))
    assert off(heard(found, stream_plan), heard(truth, stream_plan)) < HALF_STEP


def test_what_the_kernel_does_not_take_goes_elsewhere() -> None:
    q = torch.zeros(64, 2, 64, dtype=torch.bfloat16)
    assert native.takes(q, q) and not native.takes(q, q[..., :16]), "values narrower than keys, as of latent attention"
    assert not any(native.takes(q, q, beside) for beside in (Beside(cap=50.0), Beside(sink_H=q[0, :, 0]), Beside(prefix=(q, q))))
    assert not any(native.takes(x, x) for x in (q.float(), q[..., :40], torch.zeros(64, 1, 320, dtype=torch.bfloat16)))


@pytest.mark.parametrize("words", [1024, 1000, 37])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_likelihood_is_that_of_float64(words: int, temperature: float) -> None:
    generator = torch.Generator().manual_seed(words)
    hidden, matrix = (torch.randn(n, 64, generator=generator).bfloat16() for n in (640, words))
    target, slope = torch.randint(words, (640,), generator=generator), torch.randn(640, generator=generator)
    truth = [x.double().requires_grad_() for x in (hidden, matrix)]
    expected = ((truth[0] @ truth[1].t()) / temperature).log_softmax(-1).gather(-1, target[:, None])[:, 0]
    expected.backward(slope.double())
    own = [x.clone().requires_grad_() for x in (hidden, matrix)]
    found = likelihood(*own, target, temperature)
    found.backward(slope)
    # A logit of some twenty nats is rounded to a sixteenth: that is what bfloat16 costs.
    assert float((found - expected).abs().mean()) < 0.05
    assert all(off(a.grad, b.grad) < 4 * HALF_STEP for a, b in zip(own, truth, strict=True) if a.grad is not None and b.grad is not None)


def test_total_nll_is_the_sum_and_leaves_padding_out() -> None:
    generator = torch.Generator().manual_seed(1)
    hidden, matrix = (torch.randn(n, 64, generator=generator).bfloat16() for n in (256, 300))
    target = torch.randint(300, (256,), generator=generator)
    one, other = ([x.clone().requires_grad_() for x in (hidden, matrix)] for _ in range(2))
    total = total_nll(one[0], one[1], target, 200)
    (total / 200).backward()
    each = likelihood(other[0], other[1], target)[:200]
    (-each.sum() / 200).backward()
    assert float(total) == pytest.approx(-float(each.sum()), rel=1e-6)
    assert bool((one[0].grad[200:] == 0).all())
    assert all(off(a.grad, b.grad.double()) < HALF_STEP for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("n", [1, 16, 1000])
def test_sums_are_those_of_float32(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    to, x = torch.randn(n, generator=generator), torch.randn(n, generator=generator).bfloat16()
    expected = to + x.float()
    add(to, x)
    assert torch.equal(to, expected)


@pytest.mark.parametrize("name", ["CC", "XDG_CACHE_HOME"])
def test_without_a_compiler_or_a_place_to_keep_it_there_is_no_kernel(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build._built() is not None
    (tmp_path / "a file").touch()
    monkeypatch.setenv(name, str(tmp_path / "a file"))
    assert build._built() is None
