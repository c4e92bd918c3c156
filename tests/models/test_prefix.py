"""Prefix tuning: packed trees give what peft gives for each sequence alone, and a saved prefix is plain peft's."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.models.test_families import FORESTS, gradient, one_by_one
from tutelage.core.errors import UserError
from tutelage.data.batch import pack
from tutelage.engine.invariants.bench import Bench, network, policy
from tutelage.engine.invariants.checks import distance
from tutelage.engine.invariants.families import make
from tutelage.models import adapters, weights
from tutelage.models.adapters import Lora, parameters, wrap
from tutelage.models.attention import DENSE, SEPARATE
from tutelage.models.create import Dimensions, new
from tutelage.models.policy import Policy
from tutelage.models.prefix import Prefix, check_speaks, has_prefix
from tutelage.models.roles import Role
from tutelage.models.tokenizer import words
from tutelage.recipes.training import frozen

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


def test_nobody_samples_with_it_unawares() -> None:
    prefix = Role(wrap(network(Bench(), 0), Prefix(tokens=2), "policy", 0), "policy")
    lora = Role(wrap(network(Bench(), 0), Lora(), "policy", 0), "policy")
    assert has_prefix(prefix) and not has_prefix(lora) and not has_prefix(frozen(prefix))
    check_speaks(lora)
    check_speaks(frozen(prefix))
    with pytest.raises(UserError, match="learnt prefix"):
        check_speaks(prefix)
