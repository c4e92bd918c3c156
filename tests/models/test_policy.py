"""Reading: packed trees against separate passes for every K, dense against blocks, chunks, roles on one base."""

import copy

import pytest
import torch
from transformers import AttentionInterface

from tutelage.core.randomness import stream
from tutelage.data.batch import pack
from tutelage.data.tree import Tree
from tutelage.engine.invariants.bench import VOCABULARY, Bench, network, policy
from tutelage.engine.invariants.oracle import separate_reads
from tutelage.models import heads, likelihood
from tutelage.models.attention import DENSE, TREE, plan
from tutelage.models.policy import Policy
from tutelage.models.roles import Role, causal
from tutelage.models.sampler import Sampler
from tutelage.models.sampling import Sampling

NEEDS = ("logp", "entropy", "kl@reference", "logp@reference", "value@value", "score@value")


def random_trees(k: int, seed: int) -> list[Tree]:
    """Trees of k responses and fewer, one-token responses among them, prompts of different lengths, one without a prompt."""
    draw = stream("trees", k, seed)

    def ids(n: int) -> tuple[int, ...]:
        return tuple(int(i) for i in draw.integers(2, VOCABULARY, n))

    trees = [Tree(ids(int(draw.integers(1, 20))), tuple(ids(int(draw.integers(1, 12))) for _ in range(n))) for n in (k, 1, max(1, k - 1))]
    return [*trees, Tree((), (ids(9),)), Tree(ids(3), tuple(ids(1) for _ in range(k)))]


@pytest.mark.parametrize("k", range(2, 10))
@pytest.mark.parametrize("shape", ["llama", "gemma3"])
def test_shared_prompts_are_separate_passes(k: int, shape: str) -> None:
    made, trees = policy(Bench(shape), NEEDS), random_trees(k, 0)
    batch = pack(trees)
    read, alone = made.read(batch, NEEDS), separate_reads(made, trees, batch, NEEDS)
    for need in NEEDS:
        assert torch.allclose(read[need], alone[need], rtol=1e-10, atol=1e-12), need


@pytest.mark.parametrize("shape", ["llama", "gpt2", "qwen3", "gemma3", "gemma2", "gpt_oss"])
def test_blocks_are_the_dense_oracle(shape: str) -> None:
    batch = pack(random_trees(4, 1))
    blocks, dense = (policy(Bench(shape, attention=attention), NEEDS) for attention in (Bench().attention, DENSE))
    with torch.no_grad():
        a, b = blocks.read(batch, NEEDS), dense.read(batch, NEEDS)
    for need in NEEDS:
        assert torch.allclose(a[need], b[need], rtol=1e-10, atol=1e-12), need


def test_repeated_prompts_give_the_same_numbers() -> None:
    made, trees = policy(Bench(), NEEDS), random_trees(5, 2)
    shared, repeated = pack(trees), pack(trees, shared=False)
    assert len(repeated.tokens_T) > len(shared.tokens_T)
    with torch.no_grad():
        a, b = made.read(shared, NEEDS), made.read(repeated, NEEDS)
    for need in NEEDS:
        assert torch.allclose(a[need], b[need], rtol=1e-10, atol=1e-12), need


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made, batch = policy(Bench(), NEEDS), pack(random_trees(4, 3))
    whole = made.read(batch, ("logp", "entropy"))
    whole["logp"].sum().backward()
    expected = [p.grad.clone() for p in made.roles["policy"].parameters() if p.grad is not None]
    for module in (heads, likelihood):
        monkeypatch.setattr(module, "CHUNK", 7)
    for p in made.roles["policy"].parameters():
        p.grad = None
    parts = made.read(batch, ("logp", "entropy"))
    parts["logp"].sum().backward()
    assert torch.allclose(parts["entropy"], whole["entropy"], rtol=1e-12)
    found = [p.grad for p in made.roles["policy"].parameters() if p.grad is not None]
    assert all(torch.allclose(a, b, rtol=1e-10, atol=1e-12) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("adapter", ["", "lora", "dora"])
def test_the_sampler_says_what_the_trainer_reads(temperature: float, adapter: str) -> None:
    """Also after the weights have moved, for ragged prompts and several samples of one."""
    from dataclasses import replace

    from tutelage.models.roles import active

    made = policy(Bench(adapter=adapter), ("logp",))
    prompts = [(3, 9, 11), (5,), (7, 8, 9, 10, 11, 12, 13), (3, 9, 11)]
    addresses = [("policy", n) for n in range(len(prompts))]
    for _ in range(2):
        role = made.roles["policy"]
        with active(role):
            said = Sampler(role.network, end=0).generate(prompts, addresses, Sampling(temperature=temperature, max_tokens=12))
        trees = [Tree(p, (s.ids,), finished=(s.finished,)) for p, s in zip(prompts, said, strict=True)]
        with torch.no_grad():
            logp = made.read(replace(pack(trees), temperature=temperature), ("logp",))["logp"]
        sampled = torch.tensor([x for s in said for x in s.logp], dtype=torch.float64)
        assert torch.allclose(logp, sampled, rtol=0, atol=1e-10)
        with torch.no_grad():  # an update
            for p in made.trainable()["policy"]:
                p.add_(0.05 * torch.ones_like(p).cumsum(0).sin())


def test_attention_that_would_be_computed_wrongly_is_refused() -> None:
    """What a model tells attention and we don't know; more keys than tokens; dropout."""
    attention, x, stream_plan = AttentionInterface()[TREE], torch.zeros(1, 2, 128, 16), plan(pack(random_trees(2, 0)))
    module = torch.nn.Identity()
    with pytest.raises(NotImplementedError, match="packed trees can't give bias"):
        attention(module, x, x, x, None, tree=stream_plan, bias=x)
    with pytest.raises(NotImplementedError, match="133 keys for 128 tokens"):
        attention(module, x, *(torch.cat([torch.zeros(1, 2, 5, 16), x], 2),) * 2, None, tree=stream_plan)
    with pytest.raises(ValueError, match="dropout"):
        attention(module, x, x, x, None, tree=stream_plan, dropout=0.1)
    with pytest.raises(ValueError, match=r"Policy\.read"):
        attention(module, x, x, x, None)


def test_adapters_on_one_base_share_it_and_train_apart() -> None:
    from tutelage.models.adapters import Lora, wrap

    base = network(Bench(), 0)
    adapted = wrap(base, Lora(rank=2), "policy", 0)
    wrap(adapted, Lora(rank=2), "other", 1)
    adapted = adapted.double()
    for name, p in adapted.named_parameters():
        if "lora_B" in name:
            p.data.normal_(0, 0.1, generator=torch.Generator().manual_seed(len(name)))
    made = Policy({"policy": Role(adapted, "policy", trains=True), "reference": Role(adapted), "other": Role(adapted, "other")})
    batch = pack(random_trees(3, 4))
    read = made.read(batch, ("logp", "logp@reference", "logp@other"))
    assert not torch.allclose(read["logp"], read["logp@reference"]) and not torch.allclose(read["logp"], read["logp@other"])
    read["logp"].sum().backward()
    moved = {name.split(".")[-2] for name, p in adapted.named_parameters() if p.grad is not None}
    assert moved == {"policy"}


@pytest.mark.parametrize("adapter", ["", "lora"])
def test_a_value_on_the_policys_hidden_states_is_read_in_its_traversal(adapter: str) -> None:
    """One traversal; its numbers and gradients are those of two networks with equal weights, added up."""
    bench, batch, needs = Bench(adapter=adapter), pack(random_trees(3, 4)), ("logp", "value@value")
    joint_network, *twins = (policy(bench, needs).roles["policy"].network for _ in range(3))
    head, name = policy(bench, needs).roles["value"].head, "policy" if adapter else None
    apart = Policy({"policy": Role(twins[0], name, None, True), "value": Role(twins[1], name, head, True)})
    joint = {"policy": Role(joint_network, name, None, True), "value": Role(joint_network, name, copy.deepcopy(head), True)}
    together, runs = Policy(joint), list[int]()
    causal(joint_network).base_model.register_forward_pre_hook(lambda *_: runs.append(1))
    reads = [made.read(batch, needs) for made in (apart, together)]
    assert runs == [1]
    for need in needs:
        assert torch.equal(reads[0][need], reads[1][need])
    for read in reads:
        (read["logp"].sin().sum() + 3 * read["value@value"].cos().sum()).backward()
    for p, *others in zip(joint_network.parameters(), *(twin.parameters() for twin in twins), strict=True):
        grads = [other.grad for other in others if other.grad is not None]
        assert (p.grad is None) == (not grads)
        if p.grad is not None:
            torch.testing.assert_close(p.grad, sum(grads[1:], grads[0]), rtol=1e-10, atol=1e-12)
    own = together.trainable()
    assert own["value"] == list(joint["value"].head.parameters()) and len(own["policy"]) == len(apart.trainable()["policy"])
