"""What the optimizer holds lies in the processor's memory, wherever the networks are, and nothing is learnt otherwise."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from tests.elsewhere import GPU, Elsewhere, There
from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import Bench, policy
from tutelage.engine.rates import Rates
from tutelage.models.kernels import build
from tutelage.models.policy import PLAIN, Fit, Policy
from tutelage.models.precision import Precision
from tutelage.models.roles import place
from tutelage.objectives.dpo import DPO
from tutelage.objectives.mixture import with_text
from tutelage.objectives.objective import Objective
from tutelage.objectives.ppo import PPO
from tutelage.objectives.sft import SFT

OBJECTIVES: dict[str, Objective] = {"dpo": DPO(), "ppo_ptx": with_text("ppo", PPO(), SFT(), 0.5)}
AWAY = Fit(offload=True)
RATES = {"policy": Rates(1e-2, weight_decay=0.1, optimizer="muon"), "value": Rates(1e-2)}


def begun(bench: Bench, objective: Objective, precision: Precision, fit: Fit, there: bool = False) -> tuple[Engine, Policy]:
    roles = policy(bench, (*objective.needs, *objective.prepare_needs)).roles
    made = Policy({name: place(role, GPU) if there else role for name, role in roles.items()}, precision=precision, fit=fit)
    return Engine(made, objective, RATES, micro_tokens=40), made


def learnt(bench: Bench, objective: Objective, precision: Precision, fit: Fit) -> tuple[Engine, Policy]:
    """After three steps of several micro-batches."""
    engine, made = begun(bench, objective, precision, fit)
    for step in range(3):
        engine.step(objective.specimens(), step, 3)
    return engine, made


def stepped(engine: Engine) -> list[Tensor]:
    return [p.detach() for own in engine.parameters.values() for p in own]


def computing(made: Policy) -> list[Tensor]:
    """What the networks and heads compute with."""
    roles = made.roles.values()
    found = [*(p for role in roles for p in role.network.parameters()), *(p for r in roles if r.head for p in r.head.parameters())]
    return [p.detach() for p in found]


def equal(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return len(a) == len(b) > 0 and all(map(torch.equal, a, b))


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("adapter", ["", "lora"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_it_learns_the_same_to_the_bit(name: str, adapter: str, precision: Precision) -> None:
    bench = Bench(adapter=adapter, dtype=torch.float32)
    (near, whole), (away, held) = (learnt(bench, OBJECTIVES[name], precision, fit) for fit in (PLAIN, AWAY))
    assert equal(stepped(near), stepped(away)) and equal(computing(whole), computing(held))
    for made in (whole, held):
        made.finish()
    assert equal(computing(whole), computing(held))
    assert all(p.dtype == torch.float32 for p in computing(held))


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_masters_and_moments_of_a_gpu_lie_with_the_processor(precision: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the device that isn't there; gradients are laid by hand, because its backward pass runs where moves can't be listened to."""
    monkeypatch.setenv("TUTELAGE_KERNELS", "off")
    build.library.cache_clear()
    with Elsewhere():
        for fit in (AWAY, PLAIN):
            engine, made = begun(Bench(dtype=torch.float32), OBJECTIVES["ppo_ptx"], precision, fit, there=True)
            for p in stepped(engine):
                assert isinstance(p, There) == (fit is PLAIN)
        engine, made = begun(Bench(dtype=torch.float32), OBJECTIVES["ppo_ptx"], precision, AWAY, there=True)
        for own in engine.parameters.values():
            for p in own:
                p.grad = torch.ones_like(p)
        for optimizer in engine.optimizers:
            optimizer.step()
        made.refresh()
        assert len(engine.state()) > 2 * len(stepped(engine)) and not any(isinstance(x, There) for x in engine.state().values())
        network = made.roles["policy"].network
        assert all(isinstance(p, There) for p in network.parameters())
        for p, master in zip(network.parameters(), engine.parameters["policy"], strict=True):
            assert p.detach().held.equal(master.detach().to(p.dtype))  # type: ignore[attr-defined]
    build.library.cache_clear()
