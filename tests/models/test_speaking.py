"""Every family writes what it reads: soft caps, sinks and windows with our cache; attention and states of a family's own with its own."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import Lfm2Config, Lfm2ForCausalLM, MambaConfig, MambaForCausalLM, PreTrainedModel

from tests.models.test_families import rounded
from tests.models.test_sampler import often
from tests.models.test_separate import bloom, exact_softmax, openai
from tutelage.core.errors import UserError
from tutelage.engine.invariants.families import SHAPES, VOCABULARY, clean, make
from tutelage.engine.invariants.oracle import PLAIN
from tutelage.models import cache, own
from tutelage.models.adapters import wrap
from tutelage.models.decoding import attending
from tutelage.models.precision import narrow
from tutelage.models.prefix import Prefix
from tutelage.models.sampler import Sampled, Sampler
from tutelage.models.sampling import Sampling
from tutelage.models.speaking import Voice, voice

__all__ = ["exact_softmax"]
PROMPTS = [(3, 9, 8, 7, 4), (3, 4), (3, 9, 8, 7, 4), (3, *range(5, 25), 4), (6,), (3, 4), (8, 4), (3, 12, 13, 4)]
ADDRESSES = [("speaking", n) for n in range(len(PROMPTS))]


def lfm2(seed: int = 0) -> PreTrainedModel:
    """Convolutions beside attention."""
    torch.manual_seed(seed)
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    kinds = ["full_attention", "conv"]
    return Lfm2ForCausalLM(Lfm2Config(vocab_size=VOCABULARY, **size, layer_types=kinds, initializer_range=0.3, pad_token_id=1)).eval()


def mamba(seed: int = 0) -> PreTrainedModel:
    """No attention at all."""
    torch.manual_seed(seed)
    return MambaForCausalLM(MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=4, pad_token_id=1)).eval()


class Recalls(nn.Module):
    """A layer that looks at the token before it, and keeps it nowhere."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x + 0.1 * functional.pad(x, (0, 0, 1, 0))[:, :-1])


def recalling() -> PreTrainedModel:
    model = make("llama", 0, torch.float32)
    model.model.layers[0].mlp = Recalls(model.model.layers[0].mlp)
    return model


OWN = {
    "openai": (openai, "anew"),
    "bloom": (bloom, "own"),
    "lfm2": (lfm2, "own"),
    "mamba": (mamba, "anew"),
    "recalling": (recalling, "anew"),
}


def whole(model: PreTrainedModel, prompt: tuple[int, ...], said: tuple[int, ...]) -> torch.Tensor:
    """[tokens of what was said, words] by one pass of the model itself, alone and without a cache."""
    with torch.no_grad():
        return model(torch.tensor([[*prompt, *said]]), use_cache=False).logits[0, len(prompt) - 1 : -1].log_softmax(-1)


def gap(model: PreTrainedModel, sampled: list[Sampled]) -> float:
    """The furthest log-probability from the model's own."""
    each = [
        torch.tensor(one.logp, dtype=torch.float64) - whole(model, prompt, one.ids).gather(-1, torch.tensor(one.ids)[:, None])[:, 0]
        for prompt, one in zip(PROMPTS, sampled, strict=True)
    ]
    return float(torch.cat(each).abs().max())


def drawn(model: PreTrainedModel, **how: object) -> list[Sampled]:
    """Responses that end at different places."""
    free = Sampler(model, end=99).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=14, **how))
    sampled = Sampler(model, end=often(free)).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=14, **how))
    assert len({len(one.ids) for one in sampled}) > 1 or how
    return sampled


def check_greedy(model: PreTrainedModel, tolerance: float) -> None:
    """Each word the likeliest by a pass of the model itself over what stands before it."""
    for prompt, one in zip(PROMPTS, drawn(model, temperature=0.0), strict=True):
        logp_TV = whole(model, prompt, one.ids)
        chosen_T = logp_TV.gather(-1, torch.tensor(one.ids)[:, None])[:, 0]
        assert (logp_TV.max(-1).values - chosen_T).max() <= tolerance


@pytest.mark.parametrize("shape", SHAPES)
def test_with_our_cache_every_family_is_exact(shape: str) -> None:
    """Float64 through and through, against three lines of plain attention."""
    model = clean(make(shape, 0, width=64))
    assert voice(model) == Voice("ours", plain=shape not in ("gemma2", "gpt_oss"), why="") and not voice(model).note
    sampled = drawn(model)
    with attending(model, PLAIN):
        assert gap(model, sampled) < 1e-10


@pytest.mark.parametrize("shape", ["gemma2", "gpt_oss"])
def test_caps_and_sinks_are_transformers_own(shape: str) -> None:
    """Its eager attention, in float32, without a cache: greedy and drawn."""
    model = make(shape, 1, torch.float32)
    model.set_attn_implementation("eager")
    assert gap(model, drawn(model)) < 2e-5
    check_greedy(model, 1e-5)
    assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize(("shape", "part"), [("gemma2", "cap"), ("gpt_oss", "sink_H")])
def test_without_the_cap_or_the_sink_it_is_noticed(shape: str, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = clean(make(shape, 0))
    assert voice(model).way == "ours"
    true = cache._attended
    monkeypatch.setattr(cache, "_attended", lambda *args: true(*args[:-1], type(args[-1])()))
    sampled = drawn(model)
    with attending(model, PLAIN):
        assert gap(model, sampled) > 1e-3, part


@pytest.mark.parametrize("shape", ["gemma2", "gpt_oss"])
def test_many_queries_are_one_after_another_the_same(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = clean(make(shape, 0))
    once = drawn(model)
    monkeypatch.setattr(cache, "QUERIES", 3)
    again = drawn(model)
    assert [one.ids for one in again] == [one.ids for one in once]


@pytest.mark.parametrize("shape", ["gemma2", "gpt_oss"])
def test_in_bfloat16_they_are_near(shape: str) -> None:
    """Their attention by torch, whatever our kernels could do for others."""
    model = rounded(shape, 64, 0)  # which holds what bfloat16 can, and takes all of its experts
    narrowed = narrow(copy.deepcopy(model).requires_grad_(False))
    sampled = Sampler(narrowed, end=99).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=10))
    assert voice(narrowed).way == "ours" and not voice(narrowed).plain
    gaps = [torch.tensor(s.logp) - whole(model, p, s.ids).gather(-1, torch.tensor(s.ids)[:, None])[:, 0] for p, s in zip(PROMPTS, sampled)]
    assert torch.cat(gaps).abs().mean() < 0.06


@pytest.mark.parametrize("name", OWN)
def test_what_ours_can_not_serve_writes_by_itself(name: str) -> None:
    make_model, way = OWN[name]
    model = make_model()
    before = model.config._attn_implementation
    found = voice(model)
    assert found.way == way and type(model).__name__ in found.why and found.note.count("slower") == 1
    tolerance = 1e-10 if next(model.parameters()).dtype == torch.float64 else 1e-5
    sampled = drawn(model)
    assert gap(model, sampled) < tolerance
    check_greedy(model, tolerance)
    assert model.config._attn_implementation == before and not model.training
    alone = [Sampler(model, 99).generate([p], [a], Sampling(max_tokens=14))[0] for p, a in zip(PROMPTS, ADDRESSES, strict=True)]
    assert all(a.ids[: len(b.ids)] == b.ids for a, b in zip(alone, sampled, strict=True))


def test_rows_that_share_a_prompt_read_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = bloom(), []
    voice(model)
    true = own.OwnCache.read
    monkeypatch.setattr(own.OwnCache, "read", lambda self, ids: seen.append(tuple(ids.shape)) or true(self, ids))
    Sampler(model, end=99).generate([(3, 4, 5)] * 4 + [(6, 7)], [("s", n) for n in range(5)], Sampling(max_tokens=2))
    assert seen == [(1, 2), (1, 1), (1, 3), (4, 1)]


def test_a_state_that_our_cache_would_lose_is_lost_without_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: taken at its word, a hybrid writes with a cache that forgets its convolution."""
    model = lfm2()
    monkeypatch.setattr("tutelage.models.sampler.voice", lambda model: Voice("ours"))
    assert gap(model, drawn(model)) > 1e-3


def test_a_prefix_before_what_keeps_nothing_is_refused() -> None:
    adapted = wrap(recalling(), Prefix(tokens=3), "policy", 0)
    with pytest.raises(UserError, match="keeps nothing from word to word"):
        Sampler(adapted, end=99).generate([(3, 4)], [("a",)], Sampling(max_tokens=2))
