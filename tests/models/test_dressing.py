"""Ends and pads of published tokenizers; and checkpoints that hold more, less or something else than the model."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import families
from tests.families import FAMILIES
from tutelage.core.errors import UserError
from tutelage.core.text import Message, Prompt, Response
from tutelage.data.render import Renderer
from tutelage.models.dressing import tokenizer_in
from tutelage.models.weights import load

ASKED = Prompt((Message("user", ("Hello, é",)),))
HEADS = {
    "llama3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
    "Today Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHello, é<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "qwen3": "<|im_start|>user\nHello, é<|im_end|>\n<|im_start|>assistant\n",
    "gemma3": "<bos><start_of_turn>user\nHello, é<end_of_turn>\n<start_of_turn>model\n",
    "mistral": "<s>[INST] Hello, é[/INST]",
    "phi3": "<|user|>\nHello, é<|end|>\n<|assistant|>\n",
    "phi4": "<|im_start|>user<|im_sep|>Hello, é<|im_end|><|im_start|>assistant<|im_sep|>",
    "olmo2": "<|endoftext|><|user|>\nHello, é\n<|assistant|>\n",
    "smollm3": "<|im_start|>system\n## Metadata\n\nKnowledge Cutoff Date: June 2025\nToday Date: 26 July 2024\nReasoning Mode: /think\n\n"
    "<|im_end|>\n<|im_start|>user\nHello, é<|im_end|>\n<|im_start|>assistant\n",
    "gpt2": "<|user|>\nHello, é\n<|assistant|>\n",
}
"""What the sampler is given, by family: the published templates' own text, at a date that doesn't change."""
WRITTEN = {"qwen3": "<think>\n\n</think>\n\nYes", "mistral": " Yes"}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_ends_pads_and_is_prompted_as_it_is_published(name: str, tmp_path: Path) -> None:
    family, told = FAMILIES[name], []
    families.config_of(family).save_pretrained(tmp_path)
    families.save_words(family, tmp_path)
    words = tokenizer_in(tmp_path, told.append)
    assert (words.eos_token, words.pad_token) == (family.ends, family.pad)
    changed = [family.named.get("eos_token") != family.ends, family.pad not in (None, family.named.get("pad_token"))]
    assert len(told) == sum(changed), told
    render = Renderer(words, 512)
    tree = render.tree(ASKED, [Response("Yes")])
    assert render.spell(tree.prompt) == HEADS[name]
    assert render.spell(tree.responses[0]) == WRITTEN.get(name, "Yes") + family.ends and tree.responses[0][-1] == words.eos_token_id


def test_what_was_chosen_is_kept_when_it_is_saved(tmp_path: Path) -> None:
    families.config_of(FAMILIES["phi3"]).save_pretrained(tmp_path)
    families.save_words(FAMILIES["phi3"], tmp_path)
    tokenizer_in(tmp_path).save_pretrained(tmp_path / "again")
    told: list[str] = []
    again = tokenizer_in(tmp_path / "again", told.append)
    assert (again.eos_token, again.pad_token, told) == ("<|end|>", "<|endoftext|>", [])


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    families.save("llama3", tmp_path, torch.float16)
    return tmp_path


def changed(folder: Path, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    held = {**load_file(folder / "model.safetensors"), **more}
    save_file(held, folder / "model.safetensors", {"format": "pt"})
    return held


def test_half_precision_is_read_as_what_it_is_and_learnt_in_float32(llama: Path) -> None:
    assert load(llama)[0].dtype == torch.float16
    model = load(llama, torch.float32)[0]
    held = load_file(llama / "model.safetensors")
    assert model.dtype == torch.float32 and torch.equal(model.model.norm.weight, held["model.norm.weight"].float())


def test_tied_words_need_no_matrix_of_their_own_and_untied_ones_do(llama: Path) -> None:
    assert "lm_head.weight" not in load_file(llama / "model.safetensors")
    model, _ = load(llama)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    config = json.loads((llama / "config.json").read_text())
    (llama / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    with pytest.raises(UserError, match=r"the weights lack lm_head\.weight; this is no whole LlamaForCausalLM"):
        load(llama)


def test_weights_without_a_place_are_named(llama: Path) -> None:
    told: list[str] = []
    load(llama, told=told.append)
    assert not any("no place" in line for line in told)
    changed(llama, **{f"draft.{n}.weight": torch.ones(2) for n in range(5)}, **{"score.weight": torch.ones(1, 32)})
    load(llama, told=told.append)
    assert any("no place for, and which are left out: draft.0.weight, draft.1.weight, draft.2.weight and 2 more" in line for line in told)


def test_weights_that_lack_are_refused_by_name(llama: Path) -> None:
    held = {name: x for name, x in load_file(llama / "model.safetensors").items() if "layers.1.mlp.up" not in name}
    save_file(held, llama / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"the weights lack model\.layers\.1\.mlp\.up_proj\.weight"):
        load(llama)


def test_code_that_comes_with_a_model_is_not_run(llama: Path) -> None:
    (llama / "modeling_own.py").write_text(f"open({str(llama / 'ran')!r}, 'w')")
    own = {"model_type": "own", "auto_map": {"AutoConfig": "modeling_own.C", "AutoModelForCausalLM": "modeling_own.M"}}
    (llama / "config.json").write_text(json.dumps(own))
    with pytest.raises(UserError, match=r"made by code of its own \(auto_map\), which is never run"):
        load(llama)
    assert not (llama / "ran").exists()


def test_a_known_architecture_with_code_beside_it_is_transformers_own(llama: Path) -> None:
    (llama / "modeling_own.py").write_text(f"open({str(llama / 'ran')!r}, 'w')")
    config = json.loads((llama / "config.json").read_text())
    (llama / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModelForCausalLM": "modeling_own.M"}}))
    assert type(load(llama)[0]).__name__ == "LlamaForCausalLM" and not (llama / "ran").exists()


def test_a_token_that_no_text_holds_needs_no_row(llama: Path) -> None:
    """Gemma 3's small models have as many rows as words, and an image token beyond them; an end beyond them is another model's."""
    words = json.loads((llama / "tokenizer.json").read_text())
    rows = json.loads((llama / "config.json").read_text())["vocab_size"]
    image = {**words["added_tokens"][-1], "id": rows, "content": "<image_soft_token>"}
    (llama / "tokenizer.json").write_text(json.dumps({**words, "added_tokens": [*words["added_tokens"], image]}))
    load(llama)
    told = json.loads((llama / "tokenizer_config.json").read_text())
    (llama / "tokenizer_config.json").write_text(json.dumps({**told, "eos_token": "<image_soft_token>", "chat_template": None}))
    with pytest.raises(UserError, match="don't belong together"):
        load(llama)
