"""Everything that learns, reads and writes does so on a device that meets no tensor of the processor, and gives the processor's numbers
to the bit (tests/elsewhere.py says what that proves, and what it doesn't)."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from tests.elsewhere import GPU, Elsewhere, There
from tutelage.data.batch import PackedBatch
from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import Bench, network, policy
from tutelage.models import device, sampler
from tutelage.models.attention import SEPARATE
from tutelage.models.kernels import build
from tutelage.models.policy import Policy
from tutelage.models.precision import Precision
from tutelage.models.roles import Role, place
from tutelage.models.sampler import Sampler, Sampling
from tutelage.objectives.dpo import DPO
from tutelage.objectives.grpo import GRPO
from tutelage.objectives.mixture import with_text
from tutelage.objectives.objective import Objective
from tutelage.objectives.ppo import PPO
from tutelage.objectives.reward import Reward
from tutelage.objectives.sft import SFT
from tutelage.rollouts.reading import read_responses

OBJECTIVES: dict[str, Objective] = {
    "sft": SFT(),
    "reward": Reward(center=0.1),
    "dpo": DPO(),
    "ppo": PPO(entropy_coef=0.1),
    "grpo": GRPO(kl_coef=0.1, per="response"),
    "ppo_ptx": with_text("ppo", PPO(), SFT(), 0.5),
}


@pytest.fixture(autouse=True)
def by_torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The processor's side computes by torch too: our own kernels round otherwise."""
    monkeypatch.setenv("TUTELAGE_KERNELS", "off")
    build.library.cache_clear()
    yield
    build.library.cache_clear()


def made(bench: Bench, objective: Objective, precision: Precision, there: bool) -> Policy:
    roles = policy(bench, (*objective.needs, *objective.prepare_needs)).roles
    if there:
        roles = {name: place(role, GPU) for name, role in roles.items()}
    return Policy(roles, precision=precision, attention=bench.attention)


def steps(bench: Bench, objective: Objective, precision: Precision, there: bool) -> tuple[list[dict[str, float]], list[torch.Tensor]]:
    """What two optimizer steps of several micro-batches tell, and the weights they leave."""
    engine = Engine(made(bench, objective, precision, there), objective, micro_tokens=40)
    told = [engine.step(objective.specimens(), step, 3) for step in range(2)]
    weights = [p.detach() for own in engine.parameters.values() for p in own]
    assert all(isinstance(p, There) == there for p in weights)
    return told, [p.held if isinstance(p, There) else p for p in weights]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("adapter", ["", "lora"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_steps_are_those_of_the_processor(name: str, adapter: str, precision: Precision) -> None:
    bench = Bench(adapter=adapter, dtype=torch.float64 if precision == "float32" else torch.float32)
    told, weights = steps(bench, OBJECTIVES[name], precision, there=False)
    with Elsewhere():
        assert torch.zeros(2, device="cuda").device == GPU
        other, moved = steps(bench, OBJECTIVES[name], precision, there=True)
    assert told == other and all(map(torch.equal, weights, moved))


BENCHES = [
    *(Bench(shape) for shape in ("gpt2", "gemma3", "gemma2", "neox")),
    *(Bench(adapter=adapter) for adapter in ("dora", "prefix")),
    *(Bench(adapter=adapter, attention=SEPARATE) for adapter in ("", "prefix")),
]


@pytest.mark.parametrize("bench", BENCHES, ids=str)
def test_so_are_those_of_other_networks(bench: Bench) -> None:
    told, weights = steps(bench, DPO(), "float32", there=False)
    with Elsewhere():
        other, moved = steps(bench, DPO(), "float32", there=True)
    assert told == other and all(map(torch.equal, weights, moved))


def test_what_is_read_comes_back() -> None:
    trees, needs = DPO().specimens(), ("logp", "entropy", "kl@reference")
    expected = read_responses(made(Bench(), DPO(), "float32", there=False), trees, needs, tokens=40)
    with Elsewhere():
        found = read_responses(made(Bench(), DPO(), "float32", there=True), trees, needs, tokens=40)
    assert all((a == b).all() for need in needs for a, b in zip(expected[need], found[need], strict=True))


@pytest.mark.parametrize("shape", ["llama", "gemma3"])
def test_a_writer_makes_nothing_on_the_processor(shape: str) -> None:
    prompts, addresses = [(3, 4, 5), (7,), (7,), (9, 9, 9, 9, 9)], [("t", n) for n in range(4)]
    written = Sampler(network(Bench(shape), 0), end=5).generate(prompts, addresses, Sampling(max_tokens=80))
    with Elsewhere() as mode:
        role, during = place(Role(network(Bench(shape), 0)), GPU), list[int]()
        speaker = Sampler(role.network, end=5)
        assert written == speaker.generate(prompts, addresses, Sampling(max_tokens=80), lambda n: during.append(len(mode.made_here)))
    assert len(during) > 20 and during[0] == during[-1]


@pytest.mark.parametrize("left", ["tokens_T", "rows_M", "margin_P"])
def test_a_tensor_that_is_left_behind_is_caught(left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: one field or column of the batch isn't moved."""
    whole = PackedBatch.to

    def to(self: PackedBatch, device: torch.device) -> PackedBatch:
        moved = whole(self, device)
        if left in moved.columns:
            return moved.with_columns(**{left: self[left]})
        return replace(moved, **{left: getattr(self, left)})

    monkeypatch.setattr(PackedBatch, "to", to)
    with Elsewhere(), pytest.raises(RuntimeError, match="expected all tensors on cuda:0"):
        steps(Bench(), DPO(), "float32", there=True)


def test_a_writer_that_makes_something_on_the_processor_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: numbers of each step are made here."""
    drawn = sampler.draw

    def draw(logits_BV: torch.Tensor, *rest) -> tuple[torch.Tensor, torch.Tensor]:
        torch.zeros(3)
        return drawn(logits_BV, *rest)

    monkeypatch.setattr(sampler, "draw", draw)
    with pytest.raises(AssertionError):
        test_a_writer_makes_nothing_on_the_processor("llama")


def test_the_environment_says_which_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for said, expected in (("", "cuda"), ("cpu", "cpu"), ("cuda", "cuda")):
        monkeypatch.setenv(device.NAME, said)
        assert device.chosen() == expected
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(device.UserError, match="finds no GPU"):
        device.chosen()
    monkeypatch.setenv(device.NAME, "gpu")
    with pytest.raises(device.UserError, match="'gpu'"):
        device.chosen()


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda place: chosen.append(place))
    chosen = list[int]()
    monkeypatch.setenv("LOCAL_RANK", "1")
    device.own_gpu()
    assert chosen == [1]
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(device.UserError, match="process 3 of this machine has no GPU"):
        device.own_gpu()
