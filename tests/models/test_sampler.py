from collections import Counter

import pytest
import torch

from tests.models.clean import clean
from tutelage.core.errors import UserError
from tutelage.models.create import Dimensions, new
from tutelage.models.decoding import NAME
from tutelage.models.sampler import Sampler, Sampling
from tutelage.models.speaking import voice
from tutelage.models.tokenizer import words

TOKENIZER = words(["a"], 32)
SHAPES = {
    "llama": Dimensions(width=32, layers=2, heads=2, context=160, spread=0.3),
    "llama-grouped": Dimensions(width=32, layers=2, heads=4, kv_heads=2, context=160, spread=0.3),
    "gpt2": Dimensions(width=32, layers=2, heads=2, context=160, spread=0.3),
    "qwen3": Dimensions(width=32, layers=2, heads=4, kv_heads=2, context=160, spread=0.3),
    "gemma3": Dimensions(width=32, layers=2, heads=4, kv_heads=1, context=160, window=8, spread=0.1),
    "mistral": Dimensions(width=32, layers=2, heads=2, context=160, window=5, spread=0.3),
}
PROMPTS = [[3, 9, 8, 7, 4], [3, 4], [3, 9, 8, 7, 4], [3, *range(5, 25), 4], [6], [3, 4], [3, 12, 13, 4]]
ADDRESSES = [("rows", n) for n in range(len(PROMPTS))]


def model_of(name, dtype=torch.float64):
    model = new(SHAPES[name], TOKENIZER, seed=1, shape=name.split("-")[0])
    return clean(model) if dtype == torch.float64 else model


def full_logp(model, prompt, sampled, temperature=1.0):
    """Log-probabilities of a response by one plain forward pass of transformers."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *sampled.ids]])).logits[0, len(prompt) - 1 : -1] / temperature
    return logits.log_softmax(-1).gather(-1, torch.tensor(sampled.ids)[:, None])[:, 0]


def often(sampled):
    """The token that most responses hold: as end token it ends them at different places."""
    return Counter(token for s in sampled for token in set(s.ids)).most_common(1)[0][0]


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_log_probabilities_are_those_of_a_full_pass(name, dtype, tolerance, temperature):
    model = model_of(name, dtype)
    sampling = Sampling(temperature=temperature, max_tokens=30)
    end = often(Sampler(model, end=99).generate(PROMPTS, ADDRESSES, sampling))
    sampled = Sampler(model, end).generate(PROMPTS, ADDRESSES, sampling)
    assert len({len(s.ids) for s in sampled}) > 2, "the rows must end at different places for this test to mean anything"
    for prompt, response in zip(PROMPTS, sampled):
        expected = full_logp(model, prompt, response, temperature)
        assert (torch.tensor(response.logp, dtype=dtype) - expected).abs().max() < tolerance


@pytest.mark.parametrize("name", SHAPES)
def test_a_row_is_the_same_alone_together_and_in_any_batch(name):
    model, sampling = model_of(name), Sampling(max_tokens=30)
    end = often(Sampler(model, end=99).generate(PROMPTS, ADDRESSES, sampling))
    together = Sampler(model, end).generate(PROMPTS, ADDRESSES, sampling)
    alone = [Sampler(model, end).generate([p], [a], sampling)[0] for p, a in zip(PROMPTS, ADDRESSES)]
    turned = Sampler(model, end, rows=3).generate(PROMPTS[::-1], ADDRESSES[::-1], sampling)[::-1]
    for a, b, c in zip(together, alone, turned):
        assert a.ids == b.ids == c.ids and a.finished == b.finished == c.finished
        assert torch.allclose(torch.tensor(a.logp), torch.tensor(b.logp), atol=1e-10, rtol=0)
        assert torch.allclose(torch.tensor(a.logp), torch.tensor(c.logp), atol=1e-10, rtol=0)
    assert together[0].ids != together[2].ids, "one prompt, two addresses"


@pytest.mark.parametrize("name", ["llama-grouped", "mistral"])
def test_in_float32_too_rows_hardly_depend_on_their_batch(name):
    """A draw within rounding of the border between two words may fall elsewhere: at most one row in a thousand."""
    model, sampling = model_of(name, torch.float32), Sampling(max_tokens=10)
    prompts = [PROMPTS[n % len(PROMPTS)] for n in range(1000)]
    addresses = [("share", n) for n in range(len(prompts))]
    end = often(Sampler(model, end=99).generate(prompts[:50], addresses[:50], sampling))
    whole = Sampler(model, end).generate(prompts, addresses, sampling)
    for rows in (64, 3):
        parts = Sampler(model, end, rows=rows).generate(prompts, addresses, sampling)
        assert sum(a.ids == b.ids for a, b in zip(whole, parts, strict=True)) >= 999


def test_prefill_in_several_groups_changes_nothing(monkeypatch):
    model = model_of("gemma3")
    whole = Sampler(model, end=0).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=12))
    monkeypatch.setattr("tutelage.models.cache.PREFILL", 10)
    assert [s.ids for s in Sampler(model, end=0).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=12))] == [s.ids for s in whole]


def test_a_prompt_is_read_once_however_many_rows_hang_from_it(monkeypatch):
    model, seen = model_of("llama"), []
    voice(model)  # how it can write is tried once, by readings of its own
    monkeypatch.setattr(model.model.embed_tokens, "forward", _spy(model.model.embed_tokens.forward, seen))
    Sampler(model, end=0).generate([PROMPTS[0]] * 5, [("s", n) for n in range(5)], Sampling(max_tokens=1))
    assert seen == [(1, 5)]


def _spy(function, seen):
    def called(ids):
        seen.append(tuple(ids.shape))
        return function(ids)

    return called


def test_growing_past_a_block_of_the_cache():
    model = model_of("llama")
    response = Sampler(model, end=99).generate([[3, 4]], [("long",)], Sampling(max_tokens=140))[0]
    assert len(response.ids) == 140 and not response.finished
    assert (torch.tensor(response.logp) - full_logp(model, [3, 4], response)).abs().max() < 1e-6


def test_ends():
    model = model_of("llama")
    free = Sampler(model, end=99).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=6))
    assert all(len(s.ids) == 6 and not s.finished for s in free)
    first = free[3].ids[0]
    ended = Sampler(model, end=first).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=6))
    assert ended[3].ids == (first,) and ended[3].finished and len(ended[3].logp) == 1
    for a, b in zip(free, ended):
        assert b.ids == a.ids[: len(b.ids)] and b.finished == (first in a.ids)
        assert b.ids[-1] == first or len(b.ids) == 6
    last = Sampler(model, end=free[0].ids[5]).generate(PROMPTS[:1], ADDRESSES[:1], Sampling(max_tokens=6))[0]
    assert last.finished, "an end token at the limit is an end"


def test_greedy_is_transformers_greedy():
    model = model_of("gpt2")
    ours = Sampler(model, end=0).generate(PROMPTS, ADDRESSES, Sampling(temperature=0.0, max_tokens=12))
    for prompt, response in zip(PROMPTS, ours):
        ids = torch.tensor([prompt])
        theirs = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12)[0, len(prompt) :].tolist()
        assert list(response.ids) == theirs


def test_the_model_is_left_as_it_was():
    model = model_of("llama").train()
    model.model.layers[0].eval()
    model.set_attn_implementation("eager")
    for p in model.model.layers[1].parameters():
        p.requires_grad_(False)
    before = [p.requires_grad for p in model.parameters()]
    Sampler(model, end=0, dtype=torch.bfloat16).generate([[3, 4]], [("a",)], Sampling(max_tokens=2))
    with pytest.raises(UserError):
        Sampler(model, end=0).generate([[]], [("a",)], Sampling())
    assert model.config._attn_implementation == "eager" != NAME
    assert model.training and model.model.layers[1].training and not model.model.layers[0].training
    assert [p.requires_grad for p in model.parameters()] == before


def test_bf16_is_near():
    model = model_of("llama", torch.float32)
    for response in Sampler(model, end=0, dtype=torch.bfloat16).generate(
        [[3, 4]] * 4, [("b", n) for n in range(4)], Sampling(max_tokens=20)
    ):
        assert (torch.tensor(response.logp) - full_logp(model, [3, 4], response)).abs().mean() < 0.1


def test_progress_hears_every_token():
    heard = []
    sampled = Sampler(model_of("llama"), end=0, rows=3).generate(PROMPTS, ADDRESSES, Sampling(max_tokens=9), heard.append)
    assert sum(heard) == sum(len(s.ids) for s in sampled)


def test_what_cannot_be_sampled_is_refused():
    model = model_of("llama")
    for prompt, tokens in (([], 5), ([3] * 158, 3)):
        with pytest.raises(UserError, match="prompt 1"):
            Sampler(model, end=0).generate([[3], prompt], [("a",), ("b",)], Sampling(max_tokens=tokens))
    assert Sampler(model, end=0).generate([], [], Sampling()) == []


def test_a_diverged_model_says_so():
    model = model_of("llama")
    with torch.no_grad():
        model.model.norm.weight[0] = torch.nan
    with pytest.raises(FloatingPointError, match="diverged"):
        Sampler(model, end=0).generate([[3, 4]], [("a",)], Sampling(max_tokens=2))


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_training_goes_on_after_sampling(dtype):
    model = model_of("llama", torch.float32)
    Sampler(model, end=0, dtype=dtype).generate([[3, 4]], [("a",)], Sampling(max_tokens=3))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is not None):
        model(torch.tensor([[3, 4, 5]])).logits.float().logsumexp(-1).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_an_update_is_heard_at_once():
    model = model_of("llama")
    sampler = Sampler(model, end=0)
    sampler.generate([[3, 4]], [("a",)], Sampling(max_tokens=8))
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.mul_(-1)
    response = sampler.generate([[3, 4]], [("a",)], Sampling(max_tokens=8))[0]
    assert (torch.tensor(response.logp) - full_logp(model, [3, 4], response)).abs().max() < 1e-6
