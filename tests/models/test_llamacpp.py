"""What is written for llama.cpp, read back by its own reader, and, where llama-cpp-python is installed, by llama.cpp itself: equal logits,
equal tokens, equal greedy text. (pip install llama-cpp-python builds it, which takes minutes, so it is no part of the tests' extras.)"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Regex, pre_tokenizers
from transformers import (
    AutoTokenizer,
    Gemma3ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
)

from tests.models.llama_cpp import TEXTS, greedy_in_both, running
from tests.recipes import small_run
from tutelage.core.errors import UserError
from tutelage.models import create, weights
from tutelage.models.llamacpp import vocabulary as words_of
from tutelage.models.tokenizer import bpe, words

library = pytest.importorskip("gguf", reason="llama.cpp's writer is not installed (pip install 'tutelage[gguf]')")

from tutelage.models.llamacpp import write  # noqa: E402  (needs the library)

PHRASE = "Once upon a time a fox didn't like the rain, 😀 tabs\t\tand 12345 and   spaces. " * 2
LLAMA_3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA_3 |= {"original_max_position_embeddings": 32}
SHAPES = ("llama", "qwen3", "gemma3", "gpt2", "mistral", "phi3", "phi3 in part", "llama 3", "llama, linear", "gemma3, linear")


def made(name, rows):
    """A network of the family with weights that are far from those of a fresh one."""
    rows += 5 if name == "phi3" else 0  # rows without a token
    own = {"vocab_size": rows, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    own |= {"intermediate_size": 128, "max_position_embeddings": 128, "initializer_range": 0.2, "eos_token_id": 0, "pad_token_id": 1}
    own |= {"bos_token_id": None}
    size = create.Dimensions(width=64, layers=3, heads=4, kv_heads=4 if name == "gpt2" else 2, ffn=128, context=128, window=16, spread=0.2)
    tokenizer = bpe(small_run.TEXTS * 4, 320)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name in ("llama", "qwen3", "gemma3", "gpt2"):
            network = create.new(size, tokenizer, 1, name)
        elif name == "gemma3, linear":
            config = create.new(size, tokenizer, 1, "gemma3").config
            config.rope_parameters["full_attention"] = {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}
            network = Gemma3ForCausalLM(config)
        elif name == "mistral":
            network = MistralForCausalLM(MistralConfig(**own, head_dim=24, sliding_window=100))
        elif name.startswith("phi3"):
            share = {"partial_rotary_factor": 0.5} if name != "phi3" else {}
            network = Phi3ForCausalLM(Phi3Config(**own, rope_parameters={"rope_type": "default", "rope_theta": 1e4, **share}))
        else:
            stretched = LLAMA_3 if name == "llama 3" else {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}
            network = LlamaForCausalLM(LlamaConfig(**own, attention_bias=True, rope_parameters=stretched))
        for parameter in network.parameters():
            if parameter.dim() == 1:
                parameter.data += 0.1 * torch.randn_like(parameter)
    return network.float().eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders of every family, by name, made when asked for."""
    folders, tokenizer = {}, bpe(small_run.TEXTS * 4, 320)

    def folder(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("family")
            weights.save(made(name, len(tokenizer)), tokenizer, folders[name])
        return folders[name]

    return folder


@pytest.mark.parametrize("name", SHAPES)
def test_llama_cpp_computes_what_transformers_does(saved, tmp_path, name):
    folder = saved(name)
    write.gguf(folder, tmp_path / "f32.gguf", "f32")
    network, tokenizer = weights.load(folder, torch.float32)
    ids = tokenizer(PHRASE).input_ids[:96]
    with torch.no_grad():
        expected = network(torch.tensor([ids])).logits[0].numpy()
    engine = running(tmp_path / "f32.gguf", logits_all=True, type_k=0, type_v=0)
    engine.eval(ids)
    found = np.array(engine.scores[: len(ids)])
    # llama.cpp looks gelu up in a table of float16, so those families differ by some thousandths
    assert np.abs(found - expected).max() < (1e-2 if name.startswith(("gemma3", "gpt2")) else 1e-4) and np.abs(expected).max() > 3


def test_heads_that_are_not_in_pairs_are_heard(saved, tmp_path, monkeypatch):
    """The comparison above would see it: a planted fault."""
    from tutelage.models.llamacpp import families

    planted = dataclasses.replace(families.FAMILIES["llama"], laid_out=families.unchanged)
    monkeypatch.setitem(families.FAMILIES, "llama", planted)
    with pytest.raises(AssertionError):
        test_llama_cpp_computes_what_transformers_does(saved, tmp_path, "llama")


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "q8_0"])
@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "phi3"])
def test_read_back_every_tensor_is_there_in_its_type(saved, tmp_path, name, dtype):
    write.gguf(saved(name), tmp_path / "x.gguf", dtype)
    reader = library.GGUFReader(tmp_path / "x.gguf")
    network, _ = weights.load(saved(name), torch.float32)
    there = {t.name: t for t in reader.tensors}
    assert sum(int(t.n_elements) for t in reader.tensors) == sum(p.numel() for p in network.parameters())
    kinds = {t.tensor_type.name for n, t in there.items() if len(t.shape) > 1 and n != "position_embd.weight"}
    assert kinds == {dtype.upper()} and there["output_norm.weight"].tensor_type.name == "F32"
    table = network.get_input_embeddings().weight.detach().numpy()
    found = library.quants.dequantize(there["token_embd.weight"].data, there["token_embd.weight"].tensor_type)
    assert np.abs(found - table).max() <= {"f32": 0, "f16": 1e-3, "bf16": 5e-3, "q8_0": 1e-2}[dtype] * np.abs(table).max()


def test_rows_that_do_not_divide_stay_f16_and_that_is_said(tmp_path):
    tokenizer = bpe(small_run.TEXTS * 4, 320)
    weights.save(create.new(create.Dimensions(width=48, layers=1, heads=3, ffn=64), tokenizer, 1), tokenizer, tmp_path / "m")
    (said,) = write.gguf(tmp_path / "m", tmp_path / "x.gguf", "q8_0")
    assert said.startswith("7 matrices whose rows are no multiple of 32 stay f16 (such as ")
    kinds = {t.name: t.tensor_type.name for t in library.GGUFReader(tmp_path / "x.gguf").tensors}
    assert kinds["blk.0.ffn_down.weight"] == "Q8_0" and kinds["blk.0.ffn_up.weight"] == "F16"


def test_a_window_that_llama_cpp_has_not_ends_the_context(saved, tmp_path):
    (said,) = write.gguf(saved("mistral"), tmp_path / "x.gguf", "f16")
    assert "the context is 100 instead of 128" in said
    field = library.GGUFReader(tmp_path / "x.gguf").get_field("llama.context_length")
    assert field is not None and field.contents() == 100


CUTS = {
    "gpt-2": ([pre_tokenizers.ByteLevel(add_prefix_space=False)], False),
    "smollm": ([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)], False),
    **{
        cut: ([pre_tokenizers.Split(Regex(rule), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)], whole)
        for (rule, whole), cut in words_of.CUTS.items()
        if cut not in ("gpt-2", "smollm")
    },
}


def cut_by(folder: Path, cut: str) -> Path:
    """A model whose tokenizer cuts texts as the families that llama.cpp calls `cut` do; Llama 3's puts a beginning before a text."""
    from tokenizers import Tokenizer, decoders, models, processors, trainers
    from transformers import PreTrainedTokenizerFast

    steps, whole = CUTS[cut]
    inner = Tokenizer(models.BPE(ignore_merges=whole))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Sequence(steps), decoders.ByteLevel()
    special = ["<|begin|>", "<|end|>", "<|user|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special, initial_alphabet=alphabet, show_progress=False, min_frequency=1)
    inner.train_from_iterator(TEXTS, trainer)
    if cut == "llama-bpe":
        inner.post_processor = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<|begin|>", eos_token="<|end|>")
    size = create.Dimensions(width=32, layers=1, heads=2, ffn=64, context=256)
    weights.save(create.new(size, tokenizer, 1), tokenizer, folder)
    write.gguf(folder, folder / "x.gguf", "f32")
    return folder


@pytest.mark.parametrize("cut", CUTS)
def test_texts_are_cut_as_the_tokenizer_cuts_them(tmp_path, cut):
    folder = cut_by(tmp_path / "m", cut)
    field = library.GGUFReader(folder / "x.gguf").get_field("tokenizer.ggml.pre")
    assert field is not None and field.contents() == cut
    tokenizer, engine = AutoTokenizer.from_pretrained(folder), running(folder / "x.gguf")
    for text in TEXTS:
        assert engine.tokenize(text.encode(), add_bos=True, special=True) == tokenizer(text).input_ids, (cut, text)


def test_a_real_models_greedy_text_is_the_same(tmp_path):
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "models" / "english-14m"
    if not folder.is_dir():
        pytest.skip("no real model beside the repository (../shared/models/english-14m)")
    write.gguf(folder, tmp_path / "x.gguf", "f32")
    greedy_in_both(folder, tmp_path / "x.gguf", ["The history of the", "In the morning she", "Most people with"], 40)
    engine, tokenizer = running(tmp_path / "x.gguf"), AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        assert engine.tokenize(text.encode(), add_bos=True, special=True) == tokenizer(text).input_ids


def test_the_chat_template_says_the_same_without_its_marks(saved, tmp_path):
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    write.gguf(saved("llama"), tmp_path / "x.gguf", "f32")
    field = library.GGUFReader(tmp_path / "x.gguf").get_field("tokenizer.chat_template")
    assert field is not None and "generation -%}" not in field.contents()
    chat = [{"role": "user", "content": " Hi \n"}, {"role": "assistant", "content": " Ho"}, {"role": "user", "content": "?"}]
    plain = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(field.contents())
    tokenizer = AutoTokenizer.from_pretrained(saved("llama"))
    expected = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert plain.render(messages=chat, add_generation_prompt=True) == expected


def changed(folder: Path, to: Path, file: str, **more) -> Path:
    """A copy of a model's folder with fields of one file set; a dotted name goes down."""
    import shutil

    shutil.copytree(folder, to)
    page = json.loads((to / file).read_text())
    for path, value in more.items():
        *above, last = path.split("__")
        inner = page
        for name in above:
            inner = inner[name]
        inner[last] = value
    (to / file).write_text(json.dumps(page))
    return to


LSTRIP = {"id": 0, "content": "<|end|>", "single_word": False, "lstrip": True, "rstrip": False, "normalized": False, "special": True}


@pytest.mark.parametrize(
    ("name", "file", "more", "sentence"),
    [
        ("llama", "config.json", {"model_type": "olmo2"}, "the family olmo2 can't be written for llama.cpp here; known are llama, "),
        ("llama", "config.json", {"hidden_act": "relu"}, "llama.cpp computes llama with silu, this model with relu"),
        ("llama", "config.json", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "rope_type dynamic"),
        ("gemma3", "config.json", {"query_pre_attn_scalar": 7}, "query_pre_attn_scalar is 7"),
        ("llama", "config.json", {"mlp_bias": True}, "mlp_bias is True, llama.cpp's llama knows only False"),
        ("gpt2", "config.json", {"scale_attn_by_inverse_layer_idx": True}, "knows only False"),
        ("llama", "config.json", {"quantization_config": {"load_in_4bit": True}}, "these weights are quantized"),
        ("llama", "tokenizer.json", {"model__byte_fallback": True}, "SentencePiece's kind"),
        (
            "llama",
            "tokenizer.json",
            {"pre_tokenizer": {"type": "Whitespace"}},
            r"a rule that llama.cpp has no name for here \(Whitespace\)",
        ),
        ("llama", "tokenizer.json", {"pre_tokenizer__add_prefix_space": True}, "no name for here"),
        ("llama", "tokenizer.json", {"model__merges": []}, "the tokenizer merges nothing, and llama.cpp reads no such vocabulary"),
        ("llama", "tokenizer.json", {"normalizer": {"type": "Lowercase"}}, "changes texts before it reads them"),
        ("llama", "tokenizer.json", {"added_tokens": [LSTRIP]}, "takes the space beside it"),
    ],
)
def test_what_llama_cpp_would_compute_otherwise_is_refused(saved, tmp_path, name, file, more, sentence):
    folder = changed(saved(name), tmp_path / "m", file, **more)
    with pytest.raises(UserError, match=sentence):
        write.gguf(folder, tmp_path / "x.gguf", "f16")
    assert not (tmp_path / "x.gguf").exists()


def test_a_tokenizer_of_whole_words_is_refused(tmp_path):
    tokenizer = words(["one", "two"], 64)
    weights.save(create.new("nano", tokenizer, 1), tokenizer, tmp_path / "m")
    with pytest.raises(UserError, match="takes whole words, for which no vocabulary of llama"):
        write.gguf(tmp_path / "m", tmp_path / "x.gguf", "f16")


def test_a_composing_tokenizer_is_written_and_said(saved, tmp_path):
    folder = changed(saved("llama"), tmp_path / "m", "tokenizer.json", normalizer={"type": "NFC"})
    assert "doesn't compose accents (NFC)" in write.gguf(folder, tmp_path / "x.gguf", "f16")[0]
