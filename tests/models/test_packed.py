"""Published weights that are packed into few bits come back as the numbers that they stand for, and are packed no more when they are saved.
The packed folders are written here, by the formats' own definitions: FP8 (arXiv 2412.19437, section 3.3: a scale for each block) and MXFP4
(OCP Microscaling 1.0: 32 numbers of four bits share a power of two)."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, GptOssConfig

from tutelage.models.create import Dimensions, new
from tutelage.models.tokenizer import words
from tutelage.models.weights import load, save

TOKENIZER = words(["ada", "is", "home"], 32)
BLOCK = 32
OF_FOUR_BITS = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def fp8(folder: Path) -> Mapping[str, Tensor]:
    """A Llama whose layers' matrices are packed; what its tensors stand for."""
    save(new(Dimensions(width=64, layers=2, heads=2, context=64), TOKENIZER, seed=0), TOKENIZER, folder)
    meant, packed = load_file(folder / "model.safetensors"), dict[str, Tensor]()
    for name, x in meant.items():
        if "proj" not in name:
            packed[name] = x
            continue
        rows, columns = x.shape
        blocks = x.reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)
        scale = blocks.abs().amax((1, 3)) / torch.finfo(torch.float8_e4m3fn).max
        eight = (blocks / scale[:, None, :, None]).to(torch.float8_e4m3fn)
        packed |= {name: eight.reshape(rows, columns), f"{name}_scale_inv": scale}
        meant[name] = (eight.float() * scale[:, None, :, None]).reshape(rows, columns)
    return written(folder, packed, meant, {"quant_method": "fp8", "weight_block_size": [BLOCK, BLOCK], "activation_scheme": "dynamic"})


def mxfp4(folder: Path) -> Mapping[str, Tensor]:
    """A gpt-oss whose experts are packed."""
    config = GptOssConfig(
        vocab_size=32, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=32, num_local_experts=4, num_experts_per_tok=2, max_position_embeddings=64, sliding_window=16,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )  # fmt: skip
    save(AutoModelForCausalLM.from_config(config), TOKENIZER, folder)
    meant, packed = load_file(folder / "model.safetensors"), dict[str, Tensor]()
    drawn = torch.Generator().manual_seed(0)
    for name, x in meant.items():
        if not name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            packed[name] = x
            continue
        experts, into, out = x.shape
        pairs = torch.randint(0, 256, (experts, out, into // 32, 16), dtype=torch.uint8, generator=drawn)
        powers = torch.randint(118, 124, (experts, out, into // 32), dtype=torch.uint8, generator=drawn)
        packed |= {f"{name}_blocks": pairs, f"{name}_scales": powers}
        numbers = OF_FOUR_BITS[torch.stack([pairs & 15, pairs >> 4], -1).long()].flatten(-2)
        meant[name] = (numbers * torch.exp2(powers.float() - 127)[..., None]).flatten(-2).transpose(1, 2)
    return written(folder, packed, meant, {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]})


def written(folder: Path, packed: dict[str, Tensor], meant: Mapping[str, Tensor], told: Mapping[str, object]) -> Mapping[str, Tensor]:
    save_file({name: x.contiguous() for name, x in packed.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": told}))
    return meant


@pytest.mark.parametrize("packed", [fp8, mxfp4])
@pytest.mark.parametrize("dtype", [torch.float32, None], ids=["float32", "as saved"])
def test_they_are_what_they_stand_for(packed, dtype: torch.dtype | None, tmp_path: Path) -> None:
    meant, said = packed(tmp_path), list[str]()
    found = load(tmp_path, dtype, told=said.append)[0].state_dict()
    assert set(meant) <= set(found)
    for name, x in meant.items():
        assert found[name].is_floating_point() and torch.equal(found[name].float(), x.float()), name
    assert any(line.startswith(f"the weights are packed ({packed.__name__})") for line in said)


@pytest.mark.parametrize("packed", [fp8, mxfp4])
def test_what_is_saved_is_packed_no_more_and_loads_in_plain_transformers(packed, tmp_path: Path) -> None:
    packed(tmp_path / "packed")
    model, tokenizer = load(tmp_path / "packed", torch.float32)
    save(model, tokenizer, tmp_path / "saved")
    assert "quantization_config" not in json.loads((tmp_path / "saved" / "config.json").read_text())
    ids = torch.tensor([[3, 6, 7, 4, 8, 0]])
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(plain(ids).logits, model(ids).logits)
