"""Writing in bfloat16 by our kernels: log-probabilities of a full pass whoever ends when, by modules and by whole steps alike."""

import copy

import pytest
import torch
from torch import Tensor

from tutelage.core.randomness import uniforms
from tutelage.models import slots, steps
from tutelage.models.adapters import Lora, wrap
from tutelage.models.create import Dimensions, new
from tutelage.models.kernels.build import library
from tutelage.models.precision import narrow
from tutelage.models.sampler import Sampled, Sampler
from tutelage.models.sampling import Sampling, draw
from tutelage.models.tokenizer import words

pytestmark = pytest.mark.skipif(library() is None, reason="no processor that multiplies bfloat16, or no compiler")
TOKENIZER = words(["a"], 64)
SHAPES = {
    "llama": Dimensions(width=64, layers=2, heads=2, context=300, spread=0.2),
    "llama-grouped": Dimensions(width=128, layers=2, heads=4, kv_heads=2, context=300, spread=0.15),
    "llama-narrow": Dimensions(width=64, layers=2, heads=4, context=300, spread=0.2),
    "llama-of-48": Dimensions(width=192, layers=2, heads=4, context=300, spread=0.1),
    "qwen3": Dimensions(width=128, layers=2, heads=4, kv_heads=1, context=300, spread=0.15),
    "mistral": Dimensions(width=64, layers=2, heads=2, context=300, window=9, spread=0.2),
    "gemma3": Dimensions(width=64, layers=2, heads=2, kv_heads=1, context=300, window=11, spread=0.1),
    "gpt2": Dimensions(width=64, layers=2, heads=2, context=300, spread=0.2),
}
WHOLE = {"llama", "llama-grouped", "llama-narrow", "llama-of-48", "qwen3", "mistral"}
PROMPTS = [[3, 9, 8, 7, 4], [3, 4], [3, 9, 8, 7, 4], [3, *range(5, 45), 4], [6], [3, 4], [3, 12, 13, 4]] * 3
ADDRESSES = [("slots", n) for n in range(len(PROMPTS))]


def model_of(name):
    """Float32, and the same with weights rounded to bfloat16 that computes so."""
    model = new(SHAPES[name], TOKENIZER, seed=1, shape=name.split("-")[0]).requires_grad_(False)
    rounded = narrow(copy.deepcopy(model))
    for p, q in zip(model.parameters(), rounded.parameters(), strict=True):
        p.data = q.data.float()
    return model, rounded


def full_logp(model, prompt, said: Sampled) -> Tensor:
    """By one plain pass of transformers."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *said.ids]])).logits[0, len(prompt) - 1 : -1]
    return logits.double().log_softmax(-1).gather(-1, torch.tensor(said.ids)[:, None])[:, 0]


def ended(model, tokens=30):
    """Responses that end at different places."""
    free = Sampler(model, end=99).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=tokens))
    end = free[0].ids[tokens // 2]
    said = Sampler(model, end).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=tokens))
    assert len({len(s.ids) for s in said}) > 2
    return said, end


@pytest.mark.parametrize("name", SHAPES)
def test_log_probabilities_are_as_near_to_float32_as_a_full_pass_in_bfloat16(name):
    model, rounded = model_of(name)
    assert slots.takes(rounded) and steps.takes(rounded) == (name in WHOLE)
    said, _ = ended(rounded)
    plain = copy.deepcopy(model).bfloat16()
    errors = {"ours": 0.0, "theirs": 0.0}
    for prompt, one in zip(PROMPTS, said, strict=True):
        truth = full_logp(model, prompt, one)
        errors["ours"] += float((torch.tensor(one.logp) - truth).square().sum())
        errors["theirs"] += float((full_logp(plain, prompt, one) - truth).square().sum())
    assert errors["ours"] <= 1.2**2 * errors["theirs"], errors


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_whole_step_says_what_the_modules_say(name, monkeypatch):
    _, rounded = model_of(name)
    said, end = ended(rounded)
    monkeypatch.setattr(steps, "takes", lambda model: False)
    other = Sampler(rounded, end).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=30))
    for a, b in zip(said, other, strict=True):
        assert a.ids == b.ids and a.finished == b.finished
        assert torch.allclose(torch.tensor(a.logp), torch.tensor(b.logp), atol=1e-6)


@pytest.mark.parametrize("name", ["llama", "mistral", "gemma3"])
def test_a_row_does_not_know_who_ends_beside_it(name):
    """Prompts are read packed, so their rounding depends on what they are packed with: the same prompts here, fewer rows there."""
    _, rounded = model_of(name)
    said, end = ended(rounded)
    first = [n for n in range(len(PROMPTS)) if PROMPTS[n] not in PROMPTS[:n]]
    few = Sampler(rounded, end).generate([PROMPTS[n] for n in first], [ADDRESSES[n] for n in first], Sampling(max_tokens=30))
    assert len(first) < len(PROMPTS) and [(s.ids, s.logp) for s in few] == [(said[n].ids, said[n].logp) for n in first]


def test_growing_past_a_block_of_slots_and_reading_in_several_streams(monkeypatch):
    model, rounded = model_of("llama")
    whole = Sampler(rounded, end=99).generate(PROMPTS[:4], ADDRESSES[:4], Sampling(max_tokens=150))
    monkeypatch.setattr("tutelage.models.slots.PREFILL", 6)
    parts = Sampler(rounded, end=99).generate(PROMPTS[:4], ADDRESSES[:4], Sampling(max_tokens=150))
    for prompt, a, b in zip(PROMPTS, whole, parts):
        assert len(a.ids) == 150 and a.ids[:20] == b.ids[:20]
        assert float((torch.tensor(a.logp) - full_logp(model, prompt, a)).abs().mean()) < 0.05


def test_an_adapter_speaks_through_its_modules():
    model, rounded = model_of("llama")
    plain, adapted = (wrap(network, Lora(rank=4), "policy", seed=0) for network in (model, rounded))
    for a, b in zip(plain.named_parameters(), adapted.named_parameters(), strict=True):
        if "lora_B" in a[0]:
            a[1].data.normal_(0, 0.1, generator=torch.Generator().manual_seed(len(a[0])))
            b[1].data.copy_(a[1].data)
    assert not steps.takes(adapted.get_base_model())
    narrow(adapted.requires_grad_(False))
    said = Sampler(adapted, end=99).generate(PROMPTS[:4], ADDRESSES[:4], Sampling(max_tokens=20))
    bare = Sampler(model_of("llama")[1], end=99).generate(PROMPTS[:4], ADDRESSES[:4], Sampling(max_tokens=20))
    assert [s.ids for s in said] != [s.ids for s in bare]
    for prompt, one in zip(PROMPTS, said):
        assert float((torch.tensor(one.logp) - full_logp(plain, prompt, one)).abs().mean()) < 0.05


@pytest.mark.parametrize("vocabulary", [64, 1000, 8192])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_draw_is_torchs(vocabulary, temperature, monkeypatch):
    generator = torch.Generator().manual_seed(vocabulary)
    logits = (torch.randn(200, vocabulary, generator=generator) * 3).bfloat16()
    numbers = torch.from_numpy(uniforms(200, "draw", vocabulary))
    found, logp = draw(logits, numbers, Sampling(temperature=temperature))
    monkeypatch.setattr("tutelage.models.sampling.takes", lambda x: False)
    expected, expected_logp = draw(logits, numbers, Sampling(temperature=temperature))
    assert float((found == expected).double().mean()) > 0.98, "but for numbers within rounding of a border"
    assert torch.allclose(logp[found == expected], expected_logp[found == expected], atol=1e-4)


@pytest.mark.parametrize("number", [0.0, 1 - 2**-53])
def test_the_draw_stays_within_the_words(number):
    logits = torch.full((2, 100), -60.0).bfloat16()
    logits[0, 17], logits[1, 99] = 3.0, 3.0
    token, logp = draw(logits, torch.full((2,), number, dtype=torch.float64), Sampling())
    assert all(0 <= int(t) < 100 for t in token) and bool(logp.isfinite().all())
    if number == 0:
        assert int(token[0]) in (0, 17)
    nothing = torch.full((1, 100), torch.nan).bfloat16()
    token, logp = draw(nothing, torch.zeros(1, dtype=torch.float64), Sampling())
    assert 0 <= int(token) < 100 and bool(logp.isnan().all())
