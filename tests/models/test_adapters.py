import json
import subprocess
import sys

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tutelage.core.errors import UserError
from tutelage.models import adapters, weights
from tutelage.models.adapters import Lora, duplicate, freeze, linear_layers, merged, parameters, wrap
from tutelage.models.create import Dimensions, new
from tutelage.models.prefix import Prefix
from tutelage.models.sampler import Sampler, Sampling
from tutelage.models.tokenizer import words

TOKENIZER = words(["ada", "is", "home"], 32)
IDS = torch.tensor([[3, 6, 7, 4, 8, 0]])


def base(shape="llama", seed=0):
    return new(Dimensions(width=32, layers=2, heads=2, context=64), TOKENIZER, seed=seed, shape=shape)


def noise(model, name, seed=1):
    """Set B, which starts at 0, to noise, and move DoRA's lengths: the adapter then does something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for full, p in sorted(parameters(model, name).items()):
            if "lora_B" in full:
                p.copy_(torch.randn(p.shape, generator=generator))
            if "magnitude" in full:
                p.mul_(1 + 0.2 * torch.randn(p.shape, generator=generator))


def logp(model):
    with torch.no_grad():
        return model(IDS).logits.log_softmax(-1)


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_an_adapter_starts_as_the_identity_to_the_bit(shape, dora):
    model = base(shape)
    before = logp(model)
    adapted = wrap(model, Lora(dora=dora), "policy", seed=0)
    assert (logp(adapted) - before).abs().max() == 0
    noise(adapted, "policy")
    assert (logp(adapted) - before).abs().max() > 0.01
    with adapted.disable_adapter():
        assert torch.equal(logp(adapted), before)


def test_first_matrices_depend_on_the_seed_alone():
    torch.manual_seed(9)
    state = torch.random.get_rng_state()
    one = parameters(wrap(base(), Lora(), "policy", seed=3), "policy")
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(10)
    two = parameters(wrap(base(), Lora(), "policy", seed=3), "policy")
    three = parameters(wrap(base(), Lora(), "policy", seed=4), "policy")
    assert len(one) == 2 * 7 * 2 and all(torch.equal(one[k], two[k]) for k in one)
    assert not all(torch.equal(one[k], three[k]) for k in one)


def test_only_the_adapter_trains_and_never_the_output_matrix():
    adapted = wrap(base(), Lora(rank=2), "policy", seed=0)
    assert {full for full, p in adapted.named_parameters() if p.requires_grad} == set(parameters(adapted, "policy"))
    assert linear_layers(base("gpt2")) == ("c_attn", "c_fc", "c_proj")
    assert linear_layers(adapted.get_base_model()) == linear_layers(base())
    assert "lm_head" not in linear_layers(base())


def test_several_adapters_on_one_base():
    adapted = wrap(base(), Lora(), "policy", seed=0)
    noise(adapted, "policy", 1)
    policy = logp(adapted)
    adapted = wrap(adapted, Lora(rank=4), "value", seed=1)
    noise(adapted, "value", 2)
    assert not torch.equal(logp(adapted), policy)
    adapted.set_adapter("policy")
    assert torch.equal(logp(adapted), policy)
    assert not any("policy" in full for full in parameters(adapted, "value"))


def test_a_copy_is_frozen_equal_and_independent():
    adapted = wrap(base(), Lora(), "policy", seed=0)
    noise(adapted, "policy")
    duplicate(adapted, "policy", "reference")
    assert adapted.active_adapters == ["policy"]
    assert all(p.requires_grad for p in parameters(adapted, "policy").values())
    assert not any(p.requires_grad for p in parameters(adapted, "reference").values())
    policy = logp(adapted)
    adapted.set_adapter("reference")
    assert torch.equal(logp(adapted), policy)
    noise(adapted, "policy", 5)
    assert torch.equal(logp(adapted), policy)
    duplicate(adapted, "policy", "reference")
    assert not torch.equal(logp(adapted), policy)


def test_freezing():
    adapted = wrap(base(), Lora(), "policy", seed=0)
    freeze(adapted, "policy")
    assert not any(p.requires_grad for p in adapted.parameters())


def test_dora_learns_a_length_for_each_output():
    adapted = wrap(base(), Lora(dora=True), "policy", seed=0)
    lengths = {full: p for full, p in parameters(adapted, "policy").items() if "magnitude" in full}
    assert len(lengths) == 2 * 7 and all(p.requires_grad and p.dim() == 1 for p in lengths.values())
    adapted(IDS).logits.log_softmax(-1).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in lengths.values())


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("shape", ["llama", "gpt2"])
def test_a_merged_copy_is_plain_and_equal(shape, dora, tmp_path):
    adapted = wrap(base(shape).double(), Lora(dora=dora), "policy", seed=0)
    noise(adapted, "policy")
    adapted = wrap(adapted, Lora(), "value", seed=1)
    noise(adapted, "value", 2)
    adapted.set_adapter("policy")
    before = logp(adapted)
    plain = merged(adapted, "policy")
    assert torch.allclose(logp(plain), before, atol=1e-10) and torch.equal(logp(adapted), before)
    assert set(plain.state_dict()) == set(base(shape).state_dict())
    weights.save(plain, TOKENIZER, tmp_path)
    assert torch.allclose(logp(weights.load(tmp_path)[0]), before, atol=1e-10)


@pytest.mark.parametrize("dora", [False, True])
def test_a_saved_adapter_holds_only_itself_and_loads_in_plain_peft(dora, tmp_path):
    model = base()
    weights.save(model, TOKENIZER, tmp_path / "base")
    adapted = wrap(model, Lora(rank=4, dora=dora), "policy", seed=0)
    noise(adapted, "policy")
    adapters.save(adapted, "policy", tmp_path / "adapter")
    assert {f.name for f in (tmp_path / "adapter").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert (tmp_path / "adapter" / "adapter_model.safetensors").stat().st_size < 80_000
    code = """
import sys, json, torch, transformers, peft
model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1] + "/base")
model = peft.PeftModel.from_pretrained(model, sys.argv[1] + "/adapter")
assert "tutelage" not in sys.modules
print(json.dumps(model(torch.tensor([[3, 6, 7, 4, 8, 0]])).logits.log_softmax(-1).tolist()))
"""
    done = subprocess.run([sys.executable, "-I", "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert torch.equal(torch.tensor(json.loads(done.stdout.splitlines()[-1])), logp(adapted))
    back = adapters.load(weights.load(tmp_path / "base")[0], tmp_path / "adapter", "reference")
    assert torch.equal(logp(back), logp(adapted)) and not any(p.requires_grad for p in back.parameters())
    again = adapters.load(back, tmp_path / "adapter", "value")
    assert torch.equal(logp(again), logp(adapted)) and again.active_adapters == ["value"]


@pytest.mark.parametrize("adapter", [Lora(), Prefix(tokens=3)])
def test_an_adapter_of_another_model_is_refused(adapter, tmp_path):
    adapters.save(wrap(base(), adapter, "policy", seed=0), "policy", tmp_path)
    wide = new(Dimensions(width=64, layers=2, heads=2), TOKENIZER, seed=0)
    deep = new(Dimensions(width=32, layers=3, heads=2), TOKENIZER, seed=0)
    for other in (wide, deep) if isinstance(adapter, Prefix) else (wide, deep, base("gpt2")):
        with pytest.raises(UserError, match="doesn't fit"):
            adapters.load(other, tmp_path, "policy")
    with pytest.raises(UserError, match="adapter_config"):
        adapters.load(base(), tmp_path / "nothing", "policy")


def test_wrong_settings_are_refused():
    with pytest.raises(UserError, match="w_proj"):
        wrap(base(), Lora(targets=("q_proj", "w_proj")), "policy", seed=0)
    with pytest.raises(UserError, match="there already"):
        wrap(wrap(base(), Lora(), "policy", seed=0), Lora(), "policy", seed=0)


TEXT_ALONE = r"model.language_model.layers.[\d]+.(mlp|self_attn).(up|q|v)_proj"
"""As configurations for models that see have it: in their language part, loaded by itself, `language_model.` is not there."""


@pytest.mark.parametrize(
    ("pattern", "layers", "names"),
    [
        (r".*\.1\.self_attn\.(q|k)_proj", {"1"}, {"q_proj", "k_proj"}),
        (r"model\.layers\.0\..*_proj", {"0"}, {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
        (TEXT_ALONE, {"0", "1"}, {"up_proj", "q_proj", "v_proj"}),
    ],
)
def test_a_pattern_of_paths_is_what_peft_makes_of_it(pattern, layers, names):
    adapted = wrap(wrap(base(), Lora(), "other", seed=1), Lora(targets=pattern), "policy", seed=0)
    found = {tuple(full.split(".layers.")[1].split(".lora_")[0].split(".")) for full in parameters(adapted, "policy")}
    assert found == {(layer, part, name) for layer in layers for part, name in ((part_of(name), name) for name in names)}
    theirs = get_peft_model(base(), LoraConfig(target_modules=pattern.replace("language_model.", ""), task_type="CAUSAL_LM"))
    assert {tuple(full.split(".layers.")[1].split(".lora_")[0].split(".")) for full in parameters(theirs, "default")} == found


def part_of(name: str) -> str:
    return "self_attn" if name[0] in "qkvo" else "mlp"


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("(q_proj", "is no regular expression"), (r"model\.layer\..*", "no layer's path fits .* the first is model.layers.0")],
)
def test_a_pattern_that_fits_nothing_is_refused(pattern, said):
    with pytest.raises(UserError, match=said):
        wrap(base(), Lora(targets=pattern), "policy", seed=0)


@pytest.mark.parametrize("dora", [False, True])
def test_the_sampler_speaks_with_the_active_adapter(dora):
    adapted = wrap(base().double(), Lora(dora=dora), "policy", seed=0)
    noise(adapted, "policy")
    spoken = Sampler(adapted, end=0).generate([[3, 6, 4]], [("a",)], Sampling(max_tokens=12))[0]
    whole = torch.tensor([[3, 6, 4, *spoken.ids]])
    with torch.no_grad():
        expected = adapted(whole).logits[0, 2:-1].log_softmax(-1).gather(-1, torch.tensor(spoken.ids)[:, None])[:, 0]
    assert (torch.tensor(spoken.logp) - expected).abs().max() < 1e-5
    with adapted.disable_adapter():
        bare = Sampler(adapted, end=0).generate([[3, 6, 4]], [("a",)], Sampling(max_tokens=12))[0]
    assert bare.logp != spoken.logp
