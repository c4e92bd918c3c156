"""Sharded weights in a group of one process, on the processor and, where there is one, a GPU: what is read, learnt, written with and kept
is what a policy of whole weights has, and what was gathered is freed."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from tutelage.engine.engine import Engine
from tutelage.engine.invariants.bench import Bench, policy
from tutelage.engine.invariants.checks import distance
from tutelage.models.policy import Fit, Policy
from tutelage.models.precision import Precision
from tutelage.models.roles import active
from tutelage.models.sampler import Sampler, Sampling
from tutelage.models.shards import shape_of, shard_of
from tutelage.objectives.dpo import DPO
from tutelage.objectives.ppo import PPO
from tutelage.rollouts.reading import read_responses

GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU"))

FEW = ("prefix", "nf4") if find_spec("bitsandbytes") else ("prefix",)


@pytest.fixture(scope="module", params=["cpu", GPU])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    backend = "gloo" if request.param == "cpu" else "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    yield torch.device(request.param, 0) if request.param == "cuda" else torch.device("cpu")
    dist.destroy_process_group()


def sharded(bench: Bench, objective: DPO | PPO, device: torch.device, precision: Precision = "float32", offload: bool = False) -> Policy:
    roles = policy(bench, objective.needs).roles
    for role in roles.values():
        if role.head is not None:
            role.head.to(device)
    return Policy(roles, precision=precision, fit=Fit(True, True, offload, device))


def learnt(made: Policy, objective: DPO | PPO) -> list[Tensor]:
    """Three steps; the shares of one process are the weights."""
    engine = Engine(made, objective, micro_tokens=40)
    for step in range(3):
        engine.step(objective.specimens(), step, 3)
    return [p.detach().cpu() for own in engine.parameters.values() for p in own]


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize("adapter", ["", "lora", "dora", *FEW])
@pytest.mark.parametrize("objective", [DPO(), PPO(entropy_coef=0.1)], ids=lambda o: type(o).__name__)
def test_it_learns_what_whole_weights_learn(objective: DPO | PPO, adapter: str, offload: bool, device: torch.device) -> None:
    bench = Bench(adapter=adapter)
    whole = learnt(policy(bench, objective.needs), objective)
    for ours, theirs in zip(learnt(sharded(bench, objective, device, offload=offload), objective), whole, strict=True):
        assert distance(ours, theirs) < 1e-9


def test_what_is_stepped_knows_how_it_lies_and_where(device: torch.device) -> None:
    for offload in (False, True):
        made = sharded(Bench(), PPO(), device, offload=offload)
        for role, own in made.trainable().items():
            for p in own[:-1] if role == "value" else own:
                shard = shard_of(p)
                assert shard is not None and shape_of(p) == shard.shape == p.shape and shard.whole(p.detach()).device == device
                assert p.device == (torch.device("cpu") if offload else device)
        assert shard_of(made.trainable()["value"][-1]) is None  # the head


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("adapter", ["", "lora", *FEW])
def test_it_writes_and_reads_as_whole_weights_do(adapter: str, precision: Precision, device: torch.device) -> None:
    bench, objective = Bench(adapter=adapter, dtype=torch.float32), DPO()
    whole, made = Policy(policy(bench, objective.needs).roles, precision=precision), sharded(bench, objective, device, precision)
    prompts, addresses = [(5, 6, 7), (9, 8)], [("a", 0), ("a", 1)]
    said = []
    for each in (whole, made):
        with each.speaking("policy") as role, active(role):
            said.append(Sampler(role.network, end=0).generate(prompts, addresses, Sampling(max_tokens=12)))
            copy = role.network
    assert [s.ids for s in said[0]] == [s.ids for s in said[1]]
    assert all(p.device.type == "meta" for p in copy.parameters())  # freed
    trees = objective.specimens()
    for needs in (("logp",), ("logp@reference",)):
        expected, found = (read_responses(each, trees, needs)[needs[0]] for each in (whole, made))
        bound = 1e-4 if precision == "float32" else 0.2
        assert all(abs(a - b).max() < bound for a, b in zip(expected, found, strict=True) if len(a))


@pytest.mark.parametrize("adapter", ["", "lora", *FEW])
def test_it_is_kept_whole_on_the_processor(adapter: str, device: torch.device) -> None:
    objective = DPO()
    made = sharded(Bench(adapter=adapter, dtype=torch.float32), objective, device)
    expected = policy(Bench(adapter=adapter, dtype=torch.float32), objective.needs).roles["policy"].network.state_dict()
    made.finish()
    assert not made.sharded and list(made.roles) == ["policy"]
    found = made.roles["policy"].network.state_dict()
    assert found.keys() == expected.keys() and all(x.device.type == "cpu" and x.equal(expected[name]) for name, x in found.items())
