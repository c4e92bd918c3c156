import pytest
import torch

from tutelage.core.errors import UserError
from tutelage.models.create import MAKERS, SIZES, Dimensions, new
from tutelage.models.tokenizer import words

TOKENIZER = words(["a", "b"], 64)
SMALL = Dimensions(width=32, layers=2, heads=2, context=64)


def test_sizes_are_what_they_say():
    for name, width, layers in (("nano", 96, 2), ("tiny", 192, 4), ("small", 384, 6)):
        assert (SIZES[name].width, SIZES[name].layers, SIZES[name].context) == (width, layers, 256)
        assert SIZES[name].hidden == width * 8 // 3
    tiny = new("tiny", words(["a"], 1024), seed=0)
    assert 1.8e6 < tiny.num_parameters() < 2.1e6


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one = new(SMALL, TOKENIZER, seed=3).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(6)
    two, three = new(SMALL, TOKENIZER, seed=3).state_dict(), new(SMALL, TOKENIZER, seed=4).state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert not all(torch.equal(one[k], three[k]) for k in one)


@pytest.mark.parametrize("shape", MAKERS)
def test_every_shape_runs_tied_and_knows_its_tokens(shape):
    model = new(SMALL, TOKENIZER, seed=0, shape=shape)
    assert model(torch.tensor([[3, 6, 4]])).logits.shape == (1, 3, 64)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert (model.config.eos_token_id, model.config.pad_token_id, model.config.bos_token_id) == (0, 1, None)
    assert {p.dtype for p in model.parameters()} == {torch.float32} and not model.training


@pytest.mark.parametrize("shape", ["mistral", "gemma3"])
def test_a_window_forgets_what_is_outside(shape):
    model = new(Dimensions(width=32, layers=1, heads=2, window=4, context=64), TOKENIZER, seed=0, shape=shape)
    ids = torch.arange(6, 16)[None]
    changed = ids.clone()
    changed[0, 0] = 20
    logits = model(ids).logits[0], model(changed).logits[0]
    assert torch.equal(logits[0][4:], logits[1][4:]) and not torch.equal(logits[0][3], logits[1][3])


def test_what_cannot_be_made_is_refused():
    for size, shape in (("huge", "llama"), ("nano", "rwkv"), (Dimensions(32, 1, 3), "llama"), (Dimensions(32, 1, 2, kv_heads=1), "gpt2")):
        with pytest.raises(UserError):
            new(size, TOKENIZER, 0, shape)
