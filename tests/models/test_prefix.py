"""Prefix tuning: packed trees give what peft gives for each sequence alone, and a saved prefix is plain peft's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.models.test_families import FORESTS, gradient, one_by_one, rounded
from tests.models.test_sampler import often
from tutelage.core.errors import UserError
from tutelage.data.batch import pack
from tutelage.data.tree import Tree
from tutelage.engine.invariants.bench import Bench, network, policy
from tutelage.engine.invariants.checks import distance
from tutelage.engine.invariants.families import make
from tutelage.engine.invariants.oracle import PLAIN
from tutelage.models import adapters, slots, weights
from tutelage.models.adapters import parameters, wrap
from tutelage.models.attention import DENSE, SEPARATE
from tutelage.models.cache import KeyCache
from tutelage.models.create import Dimensions, new
from tutelage.models.decoding import attending
from tutelage.models.kernels.build import library
from tutelage.models.policy import Policy
from tutelage.models.prefix import Prefix
from tutelage.models.roles import Role
from tutelage.models.sampler import Sampled, Sampler
from tutelage.models.sampling import Sampling
from tutelage.models.tokenizer import words
from tutelage.recipes.training import frozen
from tutelage.rollouts.speaker import RoleSpeaker

TREES = FORESTS["several"]
BATCH = pack(TREES)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("tokens", [1, 5, 21])
@pytest.mark.parametrize("shape", ["llama", "gpt2", "gemma3", "mistral_window", "neox"])
def test_packed_trees_see_the_prefix_as_peft_does(shape: str, tokens: int, dtype: torch.dtype, bound: float) -> None:
    """Also one longer than the sliding window, of 8."""
    model = wrap(make(shape, 0, dtype) if dtype == torch.float32 else network(Bench(shape), 0), Prefix(tokens=tokens), "policy", 0)
    torch.nn.Module.to(model, dtype)
    made = Policy({"policy": Role(model, "policy", trains=True)})
    read = made.read(BATCH, ("logp",))["logp"]
    found = gradient(made, {"logp": read})
    model.get_base_model().set_attn_implementation("sdpa")  # peft's own forward, transformers' own masks and attention
    expected = one_by_one(model, TREES)
    assert distance(read, expected) < bound
    assert distance(found, gradient(made, {"logp": expected})) < bound
    assert found.abs().max() > 0 and len(found) == sum(p.numel() for p in parameters(model, "policy").values())


@pytest.mark.parametrize("attention", [DENSE, SEPARATE])
@pytest.mark.parametrize("shape", ["llama", "gpt2", "gemma3", "mistral_window"])
def test_every_way_of_reading_sees_it(shape: str, attention: str) -> None:
    packed, other = policy(Bench(shape, "prefix"), ("logp",)), policy(Bench(shape, "prefix", attention=attention), ("logp",))
    a, b = (made.read(BATCH, ("logp",)) for made in (packed, other))
    assert torch.allclose(a["logp"], b["logp"], rtol=1e-10, atol=1e-12)
    assert distance(gradient(other, b), gradient(packed, a)) < 1e-10


def test_the_reference_is_the_network_without_it() -> None:
    bare = Policy({"policy": Role(network(Bench(), 0))})
    role = Role(wrap(network(Bench(), 0), Prefix(tokens=5), "policy", 0).double(), "policy", trains=True)
    made = Policy({"policy": role, "reference": frozen(role)})
    with torch.no_grad():
        read = made.read(BATCH, ("logp", "logp@reference"))
        assert torch.equal(read["logp@reference"], bare.read(BATCH, ("logp",))["logp"])
    assert not torch.allclose(read["logp"], read["logp@reference"])


def test_in_bfloat16_it_is_near() -> None:
    exact = policy(Bench(adapter="prefix", dtype=torch.float32), ("logp",))
    rounded = Policy({"policy": policy(Bench(adapter="prefix", dtype=torch.float32), ("logp",)).roles["policy"]}, precision="bf16")
    a, b = (made.read(BATCH, ("logp",)) for made in (exact, rounded))
    assert 0 < distance(b["logp"], a["logp"]) < 0.02
    assert 0 < distance(gradient(rounded, b), gradient(exact, a)) < 0.1


def test_a_saved_prefix_is_plain_pefts(tmp_path: Path) -> None:
    tokenizer = words(["ada", "is", "home"], 32)
    model = new(Dimensions(width=32, layers=2, heads=2, context=64), tokenizer, seed=0)
    weights.save(model, tokenizer, tmp_path / "base")
    adapted = wrap(model, Prefix(tokens=4), "policy", seed=0)
    adapters.save(adapted, "policy", tmp_path / "adapter")
    code = """
import sys, json, torch, transformers, peft
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1] + "/base")
model = peft.PeftModel.from_pretrained(model, sys.argv[1] + "/adapter").eval()
assert "tutelage" not in sys.modules
print(json.dumps(model(torch.tensor([[3, 6, 7, 4, 8, 0]])).logits.tolist()))
"""
    done = subprocess.run([sys.executable, "-I", "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    with torch.no_grad():
        own = adapted(torch.tensor([[3, 6, 7, 4, 8, 0]])).logits
        back = adapters.load(weights.load(tmp_path / "base")[0], tmp_path / "adapter", "policy")
        assert torch.equal(torch.tensor(json.loads(done.stdout.splitlines()[-1])), own)
        assert torch.equal(back(torch.tensor([[3, 6, 7, 4, 8, 0]])).logits, own)
    assert not any(p.requires_grad for p in back.parameters())


PROMPTS = [(3, 9, 8, 7, 4), (3, 4), (3, 9, 8, 7, 4), (3, *range(5, 25), 4), (6,), (3, 4), (3, 12, 13, 4)]
ADDRESSES = [("prefix", n) for n in range(len(PROMPTS))]
SPOKEN = ["llama", "gpt2", "qwen3", "gemma3", "mistral_window", "neox", "gemma2", "gpt_oss"]


def gap(model: torch.nn.Module, sampled: list[Sampled]) -> float:
    """The furthest log-probability from that of peft's own forward, a sequence at a time."""
    off = 0.0
    with torch.no_grad():
        for prompt, one in zip(PROMPTS, sampled, strict=True):
            logits = model(torch.tensor([[*prompt, *one.ids]])).logits[0, len(prompt) - 1 : -1]
            alone = logits.log_softmax(-1).gather(-1, torch.tensor(one.ids)[:, None])[:, 0]
            off = max(off, float((torch.tensor(one.logp, dtype=alone.dtype) - alone).abs().max()))
    return off


def speaks(model: torch.nn.Module, **how: float) -> list[Sampled]:
    """Responses that end at different places."""
    free = Sampler(model, end=99).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=14, **how))
    return Sampler(model, end=often(free)).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=14, **how))


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-10), (torch.float32, 5e-5)])
@pytest.mark.parametrize("tokens", [1, 5, 21])
@pytest.mark.parametrize("shape", SPOKEN)
def test_it_speaks_as_peft_does(shape: str, tokens: int, dtype: torch.dtype, bound: float) -> None:
    """Also with one longer than the sliding window, of 8; by three lines of plain attention in float64, transformers' own in float32."""
    model = wrap(make(shape, 0, dtype) if dtype == torch.float32 else network(Bench(shape), 0), Prefix(tokens=tokens), "policy", 0)
    torch.nn.Module.to(model, dtype)
    sampled = speaks(model)
    assert len({len(one.ids) for one in sampled}) > 2
    if dtype == torch.float32:
        model.get_base_model().set_attn_implementation("eager")
        assert gap(model, sampled) < bound
        return
    with attending(model.get_base_model(), PLAIN):
        assert gap(model, sampled) < bound


@pytest.mark.parametrize("shape", ["llama", "gpt2", "mistral"])
def test_greedy_is_pefts_greedy(shape: str) -> None:
    model = wrap(make(shape, 0, torch.float32), Prefix(tokens=4), "policy", 0)
    ours = Sampler(model, end=0).generate(PROMPTS, ADDRESSES, Sampling(temperature=0.0, max_tokens=12))
    for prompt, one in zip(PROMPTS, ours, strict=True):
        ids = torch.tensor([prompt])
        told = {"attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": 12, "pad_token_id": 1}
        assert list(one.ids) == model.generate(input_ids=ids, **told)[0, len(prompt) :].tolist()


@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_positions_that_do_not_count_from_it_are_noticed(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault."""
    model = wrap(network(Bench(shape), 0), Prefix(tokens=5), "policy", 0).double()
    true = KeyCache.advance
    monkeypatch.setattr(KeyCache, "advance", lambda self, columns=1: (true(self, columns) - (5 if self.prefix else 0)).clamp(min=0))
    sampled = speaks(model)
    with attending(model.get_base_model(), PLAIN):
        assert gap(model, sampled) > 1e-3


@pytest.mark.parametrize("shape", ["llama", "gemma3"])
def test_the_trainer_reads_what_was_said_with_it(shape: str) -> None:
    made = policy(Bench(shape, "prefix"), ("logp",))
    speaker = RoleSpeaker(made, end=7)
    said = speaker.generate(PROMPTS, ADDRESSES, Sampling(max_tokens=9))
    read = made.read(pack([Tree(p, (s.ids,)) for p, s in zip(PROMPTS, said, strict=True)]), ("logp",))["logp"]
    assert (read - torch.tensor([x for s in said for x in s.logp], dtype=torch.float64)).abs().max() < 1e-10
    bare = Policy({"policy": frozen(made.roles["policy"])})
    without = RoleSpeaker(bare, end=7).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=9))
    alone = Sampler(network(Bench(shape), 0), end=7).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=9))
    assert without == alone != said


def test_it_takes_its_share_of_the_context() -> None:
    model = wrap(make("llama", 0, torch.float32), Prefix(tokens=10), "policy", 0)  # 512 tokens
    with pytest.raises(UserError, match="together they must fit 502"):
        Sampler(model, end=0).generate([(3,) * 500], [("a",)], Sampling(max_tokens=3))
    assert len(Sampler(model, end=99).generate([(3,) * 500], [("a",)], Sampling(max_tokens=2))[0].ids) == 2


@pytest.mark.skipif(library() is None, reason="no processor that multiplies bfloat16, or no compiler")
@pytest.mark.parametrize("tokens", [3, 16, 21])
@pytest.mark.parametrize("shape", ["llama", "qwen3", "gpt2", "mistral_window"])
def test_our_kernels_speak_with_it(shape: str, tokens: int) -> None:
    """In bfloat16: as near to what is read in float32 as what is read in bfloat16."""
    exact = Policy({"policy": Role(wrap(rounded(shape, 64, 0), Prefix(tokens=tokens), "policy", 0), "policy")})
    narrowed = Policy({"policy": Role(wrap(rounded(shape, 64, 0), Prefix(tokens=tokens), "policy", 0), "policy")}, precision="bf16")
    assert slots.takes(narrowed.roles["policy"].network.get_base_model())
    said = RoleSpeaker(narrowed, end=99).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=20))
    batch = pack([Tree(p, (s.ids,)) for p, s in zip(PROMPTS, said, strict=True)])
    with torch.no_grad():
        truth, read = (made.read(batch, ("logp",))["logp"].double() for made in (exact, narrowed))
    spoken = torch.tensor([x for s in said for x in s.logp], dtype=torch.float64)
    assert (spoken - truth).norm() < 1.3 * (read - truth).norm()
