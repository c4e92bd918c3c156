import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from tutelage.core.errors import UserError
from tutelage.models.attention import TREE
from tutelage.models.create import MAKERS, Dimensions, new
from tutelage.models.heads import ScalarHead
from tutelage.models.tokenizer import words
from tutelage.models.weights import load, load_head, save, weights_hash

TOKENIZER = words(["ada", "is", "home"], 32)
SMALL = Dimensions(width=32, layers=2, heads=2, context=64)
IDS = [[3, 6, 7, 4, 8, 0], [3, 8, 4, 6, 0, 1]]


def head_of(width=32):
    head = ScalarHead(width)
    with torch.no_grad():
        head.weight.copy_(torch.linspace(-1, 1, width)[None])
    head.calibrate(0.25, 3.0)
    return head


def elsewhere(code: str, *arguments: str) -> list:
    """What `code` prints as JSON in an isolated process that can't have imported tutelage."""
    guard = "import sys, json, torch, transformers\nassert 'tutelage' not in sys.modules\n"
    done = subprocess.run([sys.executable, "-I", "-c", guard + code, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("shape", MAKERS)
def test_what_is_saved_comes_back(shape, tmp_path):
    model = new(SMALL, TOKENIZER, seed=0, shape=shape)
    save(model, TOKENIZER, tmp_path / "m")
    back, tokenizer = load(tmp_path / "m")
    assert weights_hash(back) == weights_hash(model)
    assert tokenizer.get_vocab() == TOKENIZER.get_vocab() and tokenizer.chat_template == TOKENIZER.chat_template
    assert torch.equal(back(torch.tensor(IDS)).logits, model(torch.tensor(IDS)).logits)
    assert load_head(tmp_path / "m") is None
    assert load(tmp_path / "m", torch.float64)[0].dtype == torch.float64


def test_a_saved_model_loads_in_plain_transformers(tmp_path):
    model = new(SMALL, TOKENIZER, seed=0)
    model.set_attn_implementation(TREE)  # as a policy leaves it
    save(model, TOKENIZER, tmp_path)
    assert "tutelage" not in (tmp_path / "config.json").read_text()
    model.set_attn_implementation("sdpa")
    logits, end, pad, chat, made = elsewhere(
        """
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
g = model.generation_config
chat = tokenizer.apply_chat_template([{"role": "user", "content": "ada is"}], add_generation_prompt=True)["input_ids"]
print(json.dumps([model(torch.tensor([chat])).logits.tolist(), g.eos_token_id, g.pad_token_id, chat, str(model.dtype)]))
""",
        str(tmp_path),
    )
    assert (end, pad, chat, made) == (0, 1, [3, 6, 7, 4], "torch.float32")
    assert torch.equal(torch.tensor(logits), model(torch.tensor([chat])).logits)


@pytest.mark.parametrize("shape", MAKERS)
def test_a_score_is_plain_transformers_up_to_the_affine_map(shape, tmp_path):
    model, head = new(SMALL, TOKENIZER, seed=0, shape=shape), head_of()
    save(model, TOKENIZER, tmp_path, head)
    back, again = load(tmp_path)[0], load_head(tmp_path)
    hidden = back.base_model(torch.tensor(IDS)).last_hidden_state[torch.arange(2), torch.tensor([5, 4])]
    score = again(hidden)
    assert torch.equal(score, head(model.base_model(torch.tensor(IDS)).last_hidden_state[torch.arange(2), torch.tensor([5, 4])]))
    scored = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert scored.config.architectures[0].endswith("ForSequenceClassification")
    assert torch.allclose((scored(torch.tensor(IDS)).logits[:, 0] - 0.25) * 3.0, score, atol=1e-6)


def test_a_score_in_a_process_without_tutelage(tmp_path):
    model, head = new(SMALL, TOKENIZER, seed=0), head_of()
    save(model, TOKENIZER, tmp_path, head)
    raw, shift, scale, told = elsewhere(
        """
model = transformers.AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
raw = model(torch.tensor(json.loads(sys.argv[2]))).logits[:, 0].tolist()
print(json.dumps([raw, model.config.score_shift, model.config.score_scale, json.load(open(sys.argv[1] + "/score.json"))]))
""",
        str(tmp_path),
        json.dumps(IDS),
    )
    assert (shift, scale) == (told["score_shift"], told["score_scale"]) == (0.25, 3.0)
    ours = head(model.base_model(torch.tensor(IDS)).last_hidden_state[torch.arange(2), torch.tensor([5, 4])])
    assert torch.allclose((torch.tensor(raw) - shift) * scale, ours, atol=1e-5)


def test_saving_a_head_leaves_the_model_alone_and_words_forget_it(tmp_path):
    model = new(SMALL, TOKENIZER, seed=0)
    before, logits = weights_hash(model), model(torch.tensor(IDS)).logits
    save(model, TOKENIZER, tmp_path / "reward", head_of())
    assert weights_hash(model) == before and torch.equal(model(torch.tensor(IDS)).logits, logits)
    save(load(tmp_path / "reward")[0], TOKENIZER, tmp_path / "words")
    assert "score_shift" not in (tmp_path / "words" / "config.json").read_text()
    assert load_head(tmp_path / "words") is None


def test_an_untied_reward_model_refuses_to_speak(tmp_path):
    model = new(SMALL, TOKENIZER, seed=0)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    save(model, TOKENIZER, tmp_path, head_of())
    back = load(tmp_path)[0]
    assert torch.equal(back.base_model(torch.tensor(IDS)).last_hidden_state, model.base_model(torch.tensor(IDS)).last_hidden_state)
    with pytest.raises(NotImplementedError):
        back(torch.tensor(IDS))


def test_the_hash_sees_names_types_and_bytes():
    model = new(SMALL, TOKENIZER, seed=0)
    one = weights_hash(model)
    assert one == weights_hash(new(SMALL, TOKENIZER, seed=0)) != weights_hash(new(SMALL, TOKENIZER, seed=1))
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[0, 0] += 1e-6
    assert weights_hash(model) != one
    assert weights_hash(model.bfloat16()) not in (one,)


def broken(tmp_path, name):
    save(new(SMALL, TOKENIZER, seed=0), TOKENIZER, tmp_path)
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    if name == "no weights":
        weights.unlink()
    if name == "no config":
        config.unlink()
    if name == "cut weights":
        weights.write_bytes(weights.read_bytes()[:-100])
    if name == "fewer rows":
        save(new(SMALL, words(["ada"], 16), seed=0), words(["ada"], 16), tmp_path)
        TOKENIZER.save_pretrained(tmp_path)
    if name == "no tokenizer":
        (tmp_path / "tokenizer.json").unlink()
    if name == "broken tokenizer":
        (tmp_path / "tokenizer.json").write_text("{")
    if name == "another model":
        config.write_text(json.dumps({**json.loads(config.read_text()), "num_hidden_layers": 3}))
    if name == "unknown model":
        config.write_text(json.dumps({"model_type": "no-such-model"}))
    if name == "cut config":
        config.write_text(config.read_text()[:-30])
    if name == "list for a config":
        config.write_text("[]")
    if name == "text part that is none":
        config.write_text(json.dumps({**json.loads(config.read_text()), "text_config": [1]}))
    if name == "width in words":
        config.write_text(json.dumps({**json.loads(config.read_text()), "hidden_size": "wide"}))
    if name == "fewer than no layers":
        config.write_text(json.dumps({**json.loads(config.read_text()), "num_hidden_layers": -1}))
    if name == "heads that don't divide":
        config.write_text(json.dumps({**json.loads(config.read_text()), "num_attention_heads": 5}))
    if name == "no such type":
        config.write_text(json.dumps({**json.loads(config.read_text()), "dtype": "float99"}))
    if name == "another width":
        config.write_text(json.dumps({**json.loads(config.read_text()), "hidden_size": 64}))
    if name == "quantized elsewhere":
        config.write_text(json.dumps({**json.loads(config.read_text()), "quantization_config": {"quant_method": "gptq", "bits": 4}}))
    if name == "broken template":
        (tmp_path / "chat_template.jinja").write_text("{% if %}")
    if name == "index without places":
        weights.rename(tmp_path / "model-1.safetensors")
        (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": 5}}')


# What is wrong with a folder -> what its sentence says.
BROKEN = {
    "no weights": "no model.safetensors",
    "no config": "no config.json",
    "cut weights": "bytes where its header says",
    "fewer rows": "they don't belong together",
    "no tokenizer": "no tokenizer.json",
    "broken tokenizer": "the tokenizer can't be read",
    "another model": "the weights lack model.layers.2.",
    "unknown model": "no-such-model",
    "cut config": "config.json can't be read as JSON",
    "list for a config": "no object with a model_type",
    "text part that is none": "text_config: expected the settings",
    "width in words": "hidden_size: expected a whole number of 1 or more, got 'wide'",
    "fewer than no layers": "num_hidden_layers: expected a whole number of 1 or more, got -1",
    "heads that don't divide": "is not a multiple of the number of attention heads (5)",
    "no such type": "float99",
    "another width": "was saved in the shape (32, 32), where config.json asks for (32, 64)",
    "quantized elsewhere": "these weights were quantized (gptq); begin with the ones they were made from",
    "broken template": "the chat template refuses",
    "index without places": "model.safetensors.index.json says of no weights in which file they are",
}


@pytest.mark.parametrize("name", BROKEN)
def test_folders_that_are_no_model_are_refused_in_one_sentence(name, tmp_path):
    broken(tmp_path, name)
    with pytest.raises(UserError) as error:
        load(tmp_path)
    said = str(error.value)
    assert str(tmp_path) in said and "\n" not in said and BROKEN[name] in said, said


def test_a_folder_that_is_not_there():
    with pytest.raises(UserError, match="no such folder"):
        load(Path("/nowhere/at/all"))


def test_a_tokenizer_of_another_model_is_not_saved(tmp_path):
    with pytest.raises(UserError, match="don't belong together"):
        save(new(SMALL, TOKENIZER, seed=0), words(["ada"], 64), tmp_path / "m")
    assert not (tmp_path / "m").exists()
