"""Families whose heads, caches or logits aren't Llama's: values narrower than keys, heads of several widths, states beside keys, scaled
logits. What is read and what is sampled is what the model itself computes; and a model that can't be learnt on is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, BertConfig, BertLMHeadModel, PreTrainedModel, RobertaConfig, RobertaForCausalLM

from tests.models.test_families import tree
from tutelage.core.errors import UserError
from tutelage.data.batch import pack
from tutelage.engine.invariants.families import VOCABULARY
from tutelage.models import tokenizer, weights
from tutelage.models.adapters import Lora, linear_layers, wrap
from tutelage.models.attention import SEPARATE, TREE
from tutelage.models.policy import Policy
from tutelage.models.readable import attention_for
from tutelage.models.roles import Role
from tutelage.models.sampler import Sampler, Sampling

SIZE = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2}
EXPERTS = {"n_routed_experts": 4, "num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
EXPERTS |= {"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "n_shared_experts": 1}
LATENT = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16, "num_key_value_heads": 4}
HYBRID = {"layer_types": ["linear_attention", "full_attention"] * 2, "head_dim": 16, "linear_num_value_heads": 4, "linear_num_key_heads": 2}
HYBRID |= {"linear_key_head_dim": 16, "linear_value_head_dim": 16}
TWO_WIDTHS = {"head_dim": 16, "global_head_dim": 32, "hidden_size_per_layer_input": 16, "vocab_size_per_layer_input": VOCABULARY}
TWO_WIDTHS |= {"layer_types": ["sliding_attention", "full_attention"] * 2, "num_kv_shared_layers": 2, "sliding_window": 8}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "deepseek_v3": (TREE, {**EXPERTS, **LATENT}),
    "mimo_v2_flash": (TREE, EXPERTS),
    "gemma4_text": (TREE, TWO_WIDTHS),
    "qwen3_5_text": (SEPARATE, HYBRID),
    "llama4_text": (SEPARATE, {**EXPERTS, "head_dim": 16, "intermediate_size_mlp": 96, "attention_chunk_size": 16}),
    "falcon_h1": (SEPARATE, {"lm_head_multiplier": 0.25, "num_hidden_layers": 2}),
    "recurrent_gemma": (SEPARATE, {"logits_soft_cap": 2.0}),
}
TREES = [tree(33, 9, 14), tree(20, 6)]


def made(family: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    ends = {"vocab_size": VOCABULARY, "max_position_embeddings": 512, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 1}
    try:
        config = AutoConfig.for_model(family, **{**SIZE, **ends, **FAMILIES[family][1]})
    except ValueError:
        pytest.skip(f"this transformers doesn't know {family}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        for p in model.parameters():
            if p.dim() > 1:  # large enough that a wrong attention shows
                p.data.normal_(0, 0.15)
    return model.to(dtype).eval()


@pytest.fixture
def loaded(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[PreTrainedModel, PreTrainedModel]:
    """As transformers makes it, and as it is loaded here."""
    plain = made(request.param)
    plain.save_pretrained(tmp_path)
    tokenizer.words(["a", "b"], VOCABULARY).save_pretrained(tmp_path)
    return plain, weights.load(tmp_path)[0].eval()


def own(model: PreTrainedModel) -> torch.Tensor:
    """Log-probabilities of all responses, one after the other, each by a pass of the model's own."""
    found: list[torch.Tensor] = []
    with torch.no_grad():
        for one in TREES:
            for response in one.responses:
                logp_LV = model(torch.tensor([[*one.prompt, *response]])).logits[0].float().log_softmax(-1)
                found.append(logp_LV[len(one.prompt) - 1 : -1].gather(1, torch.tensor(response)[:, None])[:, 0])
    return torch.cat(found)


@pytest.mark.parametrize("loaded", list(FAMILIES), indirect=True)
def test_what_is_read_and_sampled_is_what_the_model_computes(loaded: tuple[PreTrainedModel, PreTrainedModel]) -> None:
    plain, model = loaded
    attention, _ = attention_for([model], "auto")
    assert attention == FAMILIES[plain.config.model_type][0]
    read = Policy({"policy": Role(model)}, attention=attention).read(pack(TREES), ("logp",))["logp"]
    assert torch.allclose(read.detach().float(), own(plain), atol=2e-5)
    said = Sampler(model, end=1).generate([[3, 6, 4]], [("a",)], Sampling(max_tokens=8, temperature=0))[0].ids
    ids = [3, 6, 4]
    with torch.no_grad():
        for token in said:
            assert token == int(plain(torch.tensor([ids])).logits[0, -1].argmax())
            ids.append(token)
    adapted = Policy({"policy": Role(wrap(model, Lora(rank=2), "policy", seed=0), "policy", trains=True)}, attention=attention)
    again = adapted.read(pack(TREES), ("logp",))["logp"]
    assert torch.allclose(again.detach(), read.detach(), atol=2e-5), "an adapter begins as nothing"
    again.sum().backward()
    assert sum(float(p.grad.norm()) for p in adapted.roles["policy"].parameters() if p.grad is not None) > 0


@pytest.mark.parametrize("family", ["deepseek_v3", "mimo_v2_flash", "gemma4_text"])
def test_kernels_leave_what_they_cannot_compute(family: str) -> None:
    """Ours take one width for keys and values; in bfloat16, where they would be taken, the numbers are the model's within its rounding."""
    truth, rounded = own(made(family)), own(made(family, torch.bfloat16))
    policy = Policy({"policy": Role(made(family), trains=True)}, precision="bf16")
    read = policy.read(pack(TREES), ("logp",))["logp"]
    assert (read.detach().float() - truth).norm() < 2 * (rounded - truth).norm()
    assert any(p.dtype == torch.bfloat16 for p in policy.roles["policy"].network.parameters())
    read.sum().backward()
    policy.collect()
    assert all(bool(p.grad.isfinite().all()) for some in policy.trainable().values() for p in some if p.grad is not None)
    sampled = Sampler(made(family, torch.bfloat16), end=1).generate([[3, 6, 4], [5, 9]], [("a",), ("b",)], Sampling(max_tokens=8))
    assert all(0 < len(one.ids) <= 8 for one in sampled)


def test_layers_that_mambas_kernels_take_unasked_are_not_adapted() -> None:
    assert "out_proj" not in linear_layers(made("falcon_h1")) and "in_proj" in linear_layers(made("falcon_h1"))


def test_encoders_and_models_of_other_logits_are_refused() -> None:
    small = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    for model in (BertLMHeadModel(BertConfig(**small)), RobertaForCausalLM(RobertaConfig(**small))):
        with pytest.raises(UserError, match="can't be learnt on: its logits are not those of its last layer"):
            attention_for([model], "auto")
    encoder = BertLMHeadModel(BertConfig(**small, initializer_range=0.3))
    encoder.cls = torch.nn.Identity()
    encoder.get_output_embeddings = lambda: None  # pyright: ignore
    with pytest.raises(UserError, match="depends on what comes after it, or stands beside it in a batch"):
        attention_for([encoder], "auto")


def test_llama_4_is_saved_as_it_was(tmp_path: Path) -> None:
    plain = made("llama4_text")
    plain.save_pretrained(tmp_path / "one")
    words = tokenizer.words(["a", "b"], VOCABULARY)
    words.save_pretrained(tmp_path / "one")
    weights.save(*weights.load(tmp_path / "one"), tmp_path / "two")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "two")
    assert torch.equal(own(again.eval()), own(plain))
