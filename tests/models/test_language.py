"""Image-text checkpoints: the language part computes what the whole computes for text, and is saved as a causal model of its own."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from tests.families import gemma3_seeing, qwen_seeing, seeing
from tutelage.core.errors import UserError
from tutelage.models.weights import load, save

IDS = torch.tensor([[5, 6, 7, 8, 9, 40, 41, 77, 5, 12]])
KINDS = {
    "gemma3": (gemma3_seeing, "gemma3", "Gemma3ForConditionalGeneration", "Gemma3ForCausalLM"),
    "qwen": (qwen_seeing, "qwen3", "Qwen2_5_VLForConditionalGeneration", "Qwen2ForCausalLM"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_language_part_is_the_whole_for_text_and_loads_by_itself(kind: str, tmp_path: Path) -> None:
    make, family, whole, part = KINDS[kind]
    sees, told = seeing(tmp_path / "whole", make, family), []
    model, words = load(tmp_path / "whole", torch.float32, told=told.append)
    assert type(model).__name__ == part and torch.equal(model(IDS).logits, sees(input_ids=IDS).logits)
    assert any(line.startswith(f"{whole}: its language part is learnt and saved, as {part}; ") for line in told), told
    save(model, words, tmp_path / "part")
    assert json.loads((tmp_path / "part" / "config.json").read_text())["architectures"] == [part]
    names = load_file(tmp_path / "part" / "model.safetensors")
    assert all(name.startswith(("model.layers.", "model.embed_tokens.", "model.norm.", "lm_head.")) for name in names), list(names)[:3]
    assert torch.equal(AutoModelForCausalLM.from_pretrained(tmp_path / "part")(IDS).logits, sees(input_ids=IDS).logits)


@pytest.mark.parametrize("before", ["language_model.model.", "model.language_model."])
def test_names_of_weights_as_several_releases_wrote_them(before: str, tmp_path: Path) -> None:
    sees = seeing(tmp_path, gemma3_seeing, "gemma3")
    held = load_file(tmp_path / "model.safetensors")
    renamed = {name.replace("language_model.model.", before): x for name, x in held.items()}
    assert any(name.startswith(before) for name in renamed)
    save_file(renamed, tmp_path / "model.safetensors", {"format": "pt"})
    assert torch.equal(load(tmp_path, torch.float32)[0](IDS).logits, sees(input_ids=IDS).logits)


def test_weights_of_other_senses_are_counted_and_others_are_named(tmp_path: Path) -> None:
    seeing(tmp_path, gemma3_seeing, "gemma3")
    held = load_file(tmp_path / "model.safetensors")
    save_file({**held, "draft.layers.0.weight": torch.ones(2)}, tmp_path / "model.safetensors", {"format": "pt"})
    told: list[str] = []
    load(tmp_path, told=told.append)
    assert any(line.endswith("no place for, and which are left out: draft.layers.0.weight") for line in told), told


def test_a_text_part_that_is_no_causal_model_is_refused(tmp_path: Path) -> None:

    seeing(tmp_path, gemma3_seeing, "gemma3")
    clip = AutoConfig.for_model("clip").to_dict()
    (tmp_path / "config.json").write_text(json.dumps({**clip, "architectures": ["CLIPModel"]}))
    with pytest.raises(UserError, match=r"CLIPModel: its text part .* is no causal language model"):
        load(tmp_path)
