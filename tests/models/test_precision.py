"""Weights in bfloat16 over float32 masters: nothing that is learnt is lost to rounding."""

import copy

import torch
from torch import nn

from tutelage.data.batch import pack
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.engine.rates import Rates
from tutelage.models.create import Dimensions, new
from tutelage.models.policy import Policy
from tutelage.models.precision import Masters, narrow
from tutelage.models.roles import Role
from tutelage.models.sampling import Sampling
from tutelage.models.tokenizer import words
from tutelage.objectives.sft import SFT
from tutelage.rollouts.speaker import RoleSpeaker

TOKENIZER = words(["a"], 64)
TREES = [Tree((3, 9, 11), ((12, 15, 16, 17, 18, 19, 20, 0),)), Tree((3, 9), ((21, 0), (9, 9, 9, 9, 0)))]


def policy(precision: str, seed: int = 0) -> Policy:
    model = new(Dimensions(width=64, layers=2, heads=2), TOKENIZER, seed)
    return Policy({"policy": Role(model, trains=True)}, TOKENIZER, precision)  # pyright: ignore[reportArgumentType]


def copy_of(network: nn.Module) -> nn.Module:
    """The same weights in a model that was never narrowed."""
    fresh = new(Dimensions(width=64, layers=2, heads=2), TOKENIZER, 9)
    fresh.load_state_dict(network.state_dict())
    return fresh


def engine(precision: str, rate: float) -> Engine:
    return Engine(policy(precision), SFT(), {"policy": Rates(learning_rate=rate, schedule="constant", warmup=0.0)})


def test_steps_too_small_for_bfloat16_add_up() -> None:
    """A planted plain bfloat16 optimizer stands still where masters move."""
    made = engine("bf16", 1e-7)
    before = [p.clone() for p in made.parameters["policy"]]
    for step in range(20):
        made.step(TREES, step, 20)
    moved = [float((a - b).abs().max()) for a, b in zip(made.parameters["policy"], before, strict=True)]
    assert all(1e-6 < m < 3e-6 for m in moved), moved
    plain = [nn.Parameter(p.detach().bfloat16()) for p in before]
    stuck = torch.optim.AdamW(plain, lr=1e-7, weight_decay=0.0)
    for p in plain:
        p.grad = torch.ones_like(p)
    stuck.step()
    large = [(p, b.bfloat16()) for p, b in zip(plain, before, strict=True) if float(b.abs().min()) > 1e-3]
    assert large and all(torch.equal(p, b) for p, b in large)


def test_the_network_is_its_masters_rounded() -> None:
    made = engine("bf16", 1e-3)
    for step in range(3):
        made.step(TREES, step, 3)
    network = made.policy.roles["policy"].network
    masters = {id(made.policy.masters.of(p)): p for p in network.parameters()}
    for master in made.parameters["policy"]:
        assert master.dtype == torch.float32
        assert torch.equal(masters[id(master)], master.to(masters[id(master)].dtype))
    wide = {p.dtype for name, p in network.named_parameters() if "embed" in name}
    assert wide == {torch.float32}
    made.policy.finish()
    assert all(p.dtype == torch.float32 for p in network.parameters())
    assert [p.data_ptr() for p in network.parameters()] == [m.data_ptr() for m in made.parameters["policy"]]
    copy = Policy({"policy": Role(copy_of(network))}, TOKENIZER, "float32")
    finished, plain = (p.read(pack(TREES), ("logp",))["logp"] for p in (made.policy, copy))
    assert torch.equal(finished, plain)


def test_gradients_are_those_of_float32_up_to_rounding() -> None:
    gradients = {}
    for precision in ("float32", "autocast", "bf16"):
        made = engine(precision, 1e-3)
        made.gradients(TREES)
        gradients[precision] = torch.cat([p.grad.flatten() for p in made.parameters["policy"] if p.grad is not None])
    truth = gradients["float32"]
    errors = {name: float((g - truth).norm() / truth.norm()) for name, g in gradients.items()}
    assert 0 < errors["bf16"] < 0.03 and errors["autocast"] < 0.03, errors


def test_a_frequent_word_learns_from_each_of_its_places() -> None:
    """In bfloat16 a sum of ones would stop at 256."""
    table = nn.Embedding(4, 8)
    network = nn.Sequential(table, nn.Linear(8, 8, bias=False))
    masters = Masters([network])
    narrow(network)
    out = table(torch.zeros(1000, dtype=torch.long))
    assert out.dtype == torch.bfloat16
    out.sum().backward()
    assert table.weight.grad is not None and masters.of(table.weight) is table.weight
    assert bool((table.weight.grad[0] == 1000).all())


def test_micro_batches_add_up_in_float32() -> None:
    whole, parts = engine("bf16", 1e-3), engine("bf16", 1e-3)
    parts.micro_tokens = 12
    whole.gradients(TREES)
    parts.gradients(TREES)
    for a, b in zip(whole.parameters["policy"], parts.parameters["policy"], strict=True):
        assert a.grad is not None and b.grad is not None
        assert float((a.grad - b.grad).norm() / a.grad.norm()) < 0.02


def test_a_frozen_role_is_narrowed_and_left() -> None:
    made = policy("bf16")
    reference = Policy({"policy": Role(new(Dimensions(width=64, layers=2, heads=2), TOKENIZER, 1))}, TOKENIZER, "bf16")
    with torch.no_grad():
        read = reference.read(pack(TREES), ("logp", "entropy"))
    assert read["logp"].dtype == torch.float32
    assert not any(reference.trainable().values()) and made.trainable()["policy"]


def gradient(precision: str, model: nn.Module) -> torch.Tensor:
    """Of the log-probabilities of TREES."""
    made = Policy({"policy": Role(copy.deepcopy(model), trains=True)}, TOKENIZER, precision)  # pyright: ignore[reportArgumentType]
    made.read(pack(TREES), ("nll",))["nll"].backward()
    return torch.cat([torch.zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in made.trainable()["policy"]])


def test_autocast_rounds_products_and_nothing_else() -> None:
    """Its gradient is off by what plain transformers under torch's autocast is, and no further than with rounded weights."""
    model = new(Dimensions(width=64, layers=2, heads=2), TOKENIZER, 0)
    exact, cast, narrowed = (gradient(precision, model) for precision in ("float32", "autocast", "bf16"))
    assert cast.dtype == torch.float32
    plain = copy.deepcopy(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for tree in TREES:
            for response in tree.responses:
                ids, first = torch.tensor([[*tree.prompt, *response]]), len(tree.prompt)
                logp = plain(ids, use_cache=False).logits[0, first - 1 : -1].float().log_softmax(-1)
                (-logp.gather(-1, ids[0, first:, None]).sum()).backward()
    theirs = torch.cat([p.grad.flatten() for p in plain.parameters()])
    off, usual, rounded = (float((x - exact).norm() / exact.norm()) for x in (cast, theirs, narrowed))
    assert 1e-4 < off < 1.3 * usual and off < 1.3 * rounded and off < 0.03, (off, usual, rounded)


def test_what_is_sampled_under_autocast_is_what_is_read() -> None:
    """Up to the rounding of products: both are as far from float32."""
    made, exact = policy("autocast"), policy("float32")
    prompts = [(3, 9, 11), (3, 9), (3, *range(10, 40))] * 4
    said = RoleSpeaker(made, end=0).generate(prompts, [("autocast", n) for n in range(len(prompts))], Sampling(max_tokens=20))
    batch = pack([Tree(p, (s.ids,)) for p, s in zip(prompts, said, strict=True)])
    with torch.no_grad():
        read, truth = (role.read(batch, ("logp",))["logp"] for role in (made, exact))
    spoken = torch.tensor([x for s in said for x in s.logp])
    gap, sampled, trained = (float((a - b).norm()) for a, b in ((spoken, read), (spoken, truth), (read, truth)))
    assert 0 < sampled < 1.3 * trained and gap < 2 * trained, (gap, sampled, trained)
