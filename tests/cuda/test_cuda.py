"""What only a GPU can show: its gradients are the processor's, compiled attention is the dense oracle's, it writes what the processor
writes, and a pipeline runs on it. Skipped where there is none."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.engine.test_elsewhere import OBJECTIVES
from tests.models.test_flex import SINKS, forest
from tests.recipes.pages import page
from tests.recipes.test_elsewhere import PAGE
from tutelage.core.errors import Interrupted
from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import ADAPTERS, Bench, network, policy
from tutelage.engine.invariants.checks import distance
from tutelage.engine.invariants.families import clean, make
from tutelage.models import device
from tutelage.models.attention import SEPARATE, blocks, dense, flex
from tutelage.models.attention.beside import Beside, Scoring
from tutelage.models.policy import Policy
from tutelage.models.precision import Precision
from tutelage.models.roles import Role, place
from tutelage.models.sampler import Sampler, Sampling
from tutelage.objectives.dpo import DPO
from tutelage.objectives.objective import Objective
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
DRAWN = [
    *(("llama", a) for a in ("", *ADAPTERS)),
    *((s, "") for s in ("gpt2", "qwen3", "gemma3", "gemma2", "gpt_oss", "phi3", "mistral_window")),
]


@pytest.fixture(autouse=True)
def on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(device.NAME, "cuda")
    yield


def gradient_on(where: str, bench: Bench, objective: Objective, precision: Precision = "float32") -> Tensor:
    """All gradients of one optimizer batch of several micro-batches, on the processor in float64."""
    roles = policy(bench, (*objective.needs, *objective.prepare_needs)).roles
    for role in roles.values():
        place(role, torch.device(where, 0) if where == "cuda" else torch.device(where))
    return _gradient(Policy(roles, precision=precision, attention=bench.attention), objective)


def _gradient(made: Policy, objective: Objective) -> Tensor:
    engine = Engine(made, objective, micro_tokens=40)
    engine.gradients(objective.specimens())
    own = [p for parameters in engine.parameters.values() for p in parameters]
    return torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in own]).double().cpu()


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize(("shape", "adapter"), DRAWN)
def test_gradients_are_those_of_the_processor(name: str, shape: str, adapter: str) -> None:
    bench = Bench(shape, adapter)
    assert distance(gradient_on("cuda", bench, OBJECTIVES[name]), gradient_on("cpu", bench, OBJECTIVES[name])) < 1e-10


def test_separate_passes_too() -> None:
    bench = Bench(attention=SEPARATE)
    assert distance(gradient_on("cuda", bench, DPO()), gradient_on("cpu", bench, DPO())) < 1e-10


@pytest.mark.parametrize("shape", ["llama", "gemma3", "gemma2", "gpt_oss"])
def test_in_less_precision_they_err_by_its_rounding(shape: str) -> None:
    """By FlexAttention, as heads are 16 wide; bfloat16 errs no more than the processor does in it."""

    def error(where: str, dtype: torch.dtype, precision: Precision) -> float:
        return distance(_of_wide_heads(where, shape, dtype, precision), _of_wide_heads("cpu", shape, torch.float64, "float32"))

    assert error("cuda", torch.float32, "float32") < 1e-4
    assert error("cuda", torch.float32, "bf16") < 1.2 * error("cpu", torch.float32, "bf16")


def _of_wide_heads(where: str, shape: str, dtype: torch.dtype, precision: Precision) -> Tensor:
    trained, kept = (Role(clean(make(shape, seed, dtype, width=64)), trains=seed == 0) for seed in (0, 10))
    for role in (trained, kept):
        place(role, torch.device(where, 0) if where == "cuda" else torch.device(where))
    return _gradient(Policy({"policy": trained, "reference": kept}, precision=precision), DPO())


@pytest.mark.parametrize("window", [None, 40])
@pytest.mark.parametrize("beside", ["", "cap", "sink", "prefix"])
@pytest.mark.parametrize("heads", [(4, 4, 64), (4, 2, 128), (4, 1, 32)], ids=str)
def test_compiled_attention_is_the_dense_oracle(heads: tuple[int, int, int], beside: str, window: int | None) -> None:
    """float32 to its rounding; bfloat16 errs at most 1.2 times as much as torch's products in bfloat16 do."""
    query_heads, kv_heads, width = heads
    generator = torch.Generator().manual_seed(1)
    prefix = [torch.randn(5, kv_heads, width, generator=generator) for _ in range(2)]
    of = {"cap": 2.0, "sink_H": SINKS, "prefix": (prefix[0].cuda(), prefix[1].cuda())}
    chosen = Beside(**{name: x for name, x in of.items() if beside and name.startswith(beside)})
    how = Scoring(forest(9, 300), width**-0.5, window, chosen)
    T = len(how.plan.segment_T)
    shapes = [(T, query_heads), (T, kv_heads), (T, kv_heads), (T, query_heads)]
    *qkv, slope = (torch.randn(*shape, width, generator=generator).cuda() for shape in shapes)
    slope[how.plan.starts[-1] :] = 0

    def off(attend, dtype: torch.dtype) -> float:
        found, truth = (_learnt(a, qkv, slope, how, d) for a, d in ((attend, dtype), (dense.attend, torch.float64)))
        return max(float((a.double() - b).norm() / b.norm()) for a, b in zip(found, truth, strict=True))

    assert flex.takes(qkv[0], how)
    assert off(flex.attend, torch.float32) < 1e-5
    assert off(flex.attend, torch.bfloat16) < 1.2 * off(blocks.attend, torch.bfloat16)


def _learnt(attend, qkv: list[Tensor], slope: Tensor, how: Scoring, dtype: torch.dtype) -> list[Tensor]:
    given = [x.to(dtype).requires_grad_() for x in qkv]
    own = how.beside.prefix
    beside = replace(how.beside, prefix=None if own is None else (own[0].to(dtype), own[1].to(dtype)))
    out = attend(*given, replace(how, beside=beside))
    real = slope.abs().sum((1, 2)) > 0
    return [out.detach()[real], *torch.autograd.grad(out, given, slope.to(dtype))]


def test_streams_of_many_lengths_share_their_kernels() -> None:
    """Fifty streams, no two of one length, compile a few times and not fifty."""
    torch._dynamo.utils.counters.clear()
    for n in range(50):
        how = Scoring(forest(2 + n % 8, 20 + 13 * n), 0.25)
        q = torch.randn(len(how.plan.segment_T), 4, 64, device="cuda", requires_grad=True)
        flex.attend(q, q[:, :2], q[:, 2:], how).sum().backward()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] < 8


@pytest.mark.parametrize("shape", ["llama", "gpt2", "gemma3"])
def test_it_writes_what_the_processor_writes(shape: str) -> None:
    prompts, addresses = [(3, 4, 5), (7,), (7,), (9, 9, 9, 9, 9)], [("t", n) for n in range(4)]
    here = Sampler(network(Bench(shape), 0), end=5).generate(prompts, addresses, Sampling(max_tokens=80))
    role = place(Role(network(Bench(shape), 0)), torch.device("cuda", 0))
    there = Sampler(role.network, end=5).generate(prompts, addresses, Sampling(max_tokens=80))
    assert [response.ids for response in here] == [response.ids for response in there]
    assert all(abs(a - b) < 1e-9 for x, y in zip(here, there, strict=True) for a, b in zip(x.logp, y.logp, strict=True))


def test_a_step_waits_for_nothing_but_its_figures() -> None:
    """torch raises where the processor waits for the GPU while a stream is read and learnt from."""
    policy_, objective = policy(Bench(dtype=torch.float32), DPO().needs), DPO()
    for role in policy_.roles.values():
        place(role, torch.device("cuda", 0))
    batch = objective.collate(objective.specimens()).to(policy_.device)
    for _ in range(2):  # the first time finds its kernels
        loss = objective.loss(policy_.read(batch, objective.needs), batch)["preference"]
        loss.backward()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        objective.loss(policy_.read(batch, objective.needs), batch)["preference"].backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_memory_that_runs_out_is_said_and_gone_on_from(tmp_path: Path) -> None:
    torch.cuda.empty_cache()
    taken = torch.empty(device.free_bytes() - 2**23, dtype=torch.uint8, device="cuda")
    with pytest.raises(Interrupted, match=r"ran out of memory: about \S+ GiB were foreseen, \S+ GiB of \S+ GiB were held"):
        run(load(page(tmp_path, PAGE)), tmp_path / "run")
    del taken
    torch.cuda.empty_cache()
    assert len(run(load(page(tmp_path, PAGE)), tmp_path / "run").artifacts) == 7


def test_a_pipeline_runs_on_it_and_says_so(tmp_path: Path) -> None:
    made = run(load(page(tmp_path, PAGE)), tmp_path / "run")
    noted = (tmp_path / "run" / "manifest.json").read_text()
    assert '"cuda"' in noted and torch.cuda.get_device_name() in noted
    assert len({artifact.results.get("weights") for artifact in made.artifacts.values()}) == 6  # the report and the labels have none
