"""Reading path by path: the numbers and the gradient of packed trees, also for families that can't read them."""

import types

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import BloomConfig, BloomForCausalLM, MixtralConfig, MixtralForCausalLM, OpenAIGPTConfig, OpenAIGPTLMHeadModel
from transformers.models.bloom import modeling_bloom

from tests.models.test_families import FORESTS, NEEDS, gradient, one_by_one
from tutelage.core.errors import UserError
from tutelage.data.batch import pack
from tutelage.engine.invariants.bench import Bench, policy
from tutelage.engine.invariants.checks import distance
from tutelage.engine.invariants.families import SHAPES, VOCABULARY, make
from tutelage.models.attention import SEPARATE, TREE, plan
from tutelage.models.attention.separate import paths
from tutelage.models.policy import Policy
from tutelage.models.readable import attention_for, unreadable
from tutelage.models.roles import Role

TREES = FORESTS["several"]


def openai(seed: int = 0) -> OpenAIGPTLMHeadModel:
    torch.manual_seed(seed)
    dropped = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    size = {"vocab_size": VOCABULARY, "n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 4}
    return OpenAIGPTLMHeadModel(OpenAIGPTConfig(**size, **dropped, initializer_range=0.2)).double().eval()


def bloom(seed: int = 0) -> BloomForCausalLM:
    torch.manual_seed(seed)
    config = BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.2, use_cache=False)
    return BloomForCausalLM(config).double().eval()


@pytest.fixture(autouse=True)
def exact_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bloom takes its softmax in float32 whatever the model's dtype."""
    wide = types.SimpleNamespace(**vars(functional))
    wide.softmax = lambda x, dim, dtype: functional.softmax(x, dim=dim)
    monkeypatch.setattr(modeling_bloom, "F", wide)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s not in ("gemma2", "gpt_oss")])  # theirs is eager, and in float32
def test_separate_passes_are_packed_trees(shape: str) -> None:
    packed, apart = policy(Bench(shape), NEEDS), policy(Bench(shape, attention=SEPARATE), NEEDS)
    a, b = (made.read(pack(TREES), NEEDS) for made in (packed, apart))
    for need in NEEDS:
        assert torch.allclose(a[need], b[need], rtol=1e-10, atol=1e-12), need
    assert distance(gradient(apart, b), gradient(packed, a)) < 1e-10


@pytest.mark.parametrize("make_model", [openai, bloom])
def test_a_family_with_its_own_attention_is_read_separately(make_model: type[nn.Module]) -> None:
    """Against its own forward, one sequence at a time, without padding or mask."""
    model, batch = make_model(), pack(TREES)
    made = Policy({"policy": Role(model, trains=True)}, attention=SEPARATE)
    read = made.read(batch, ("logp",))
    found = gradient(made, read)
    expected = one_by_one(model, TREES)
    assert torch.allclose(read["logp"], expected, rtol=1e-10, atol=1e-12)
    assert distance(found, gradient(made, {"logp": expected})) < 1e-10


def test_paths_hold_every_token_once() -> None:
    batch = pack(TREES)
    rows = paths(batch, plan(batch))
    assert len(rows.from_BL) == len(batch.last_R) and len(set(rows.place_T.tolist())) == len(batch.tokens_T)
    assert torch.equal(batch.tokens_T[rows.from_BL].flatten()[rows.place_T], batch.tokens_T)


@pytest.mark.parametrize("shape", SHAPES)
def test_families_that_read_trees_are_found_to(shape: str) -> None:
    model = make(shape, 0, torch.float32)
    before = model.config._attn_implementation
    assert unreadable(model) == "" and model.config._attn_implementation == before
    assert attention_for([model], "auto") == (TREE, "")
    assert attention_for([model], "separate")[0] == SEPARATE


@pytest.mark.parametrize("make_model", [openai, bloom])
def test_families_that_do_not_are_named(make_model: type[nn.Module]) -> None:
    model = make_model()
    attention, why = attention_for([make("llama", 0, torch.float32), model], "auto")
    assert attention == SEPARATE and type(model).__name__ in why
    with pytest.raises(UserError, match="packed can't be"):
        attention_for([model], "packed")
    with pytest.raises(UserError, match="attention of its own"):
        Policy({"policy": Role(model)})


class Smears(nn.Module):
    """A layer that looks at the token before it in the stream, as convolutions and recurrences do."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x + 0.1 * x.roll(1, 1))


def test_a_model_that_mixes_branches_is_noticed() -> None:
    model = make("llama", 0, torch.float32)
    model.model.layers[0].mlp = Smears(model.model.layers[0].mlp)
    assert "mixes tokens of different branches" in unreadable(model)


def test_what_balances_experts_is_refused_by_name() -> None:
    size = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = MixtralForCausalLM(MixtralConfig(**size, num_key_value_heads=2, num_local_experts=2, output_router_logits=True))
    with pytest.raises(UserError, match="MixtralForCausalLM asks for a loss that balances its experts"):
        attention_for([model], "auto")
    model.config.output_router_logits = False
    assert attention_for([model], "auto")[0] == TREE
