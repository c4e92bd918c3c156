"""Stages of a real small run as folders: what plain transformers and peft make of them, and that a folder is whole or not there."""

import errno
import json
import subprocess
import sys

import pytest
import torch
import yaml

from tests.recipes import small_run
from tests.recipes.small_run import TEXTS
from tutelage.core.errors import Interrupted, UserError
from tutelage.models import casting, weights
from tutelage.recipes import card, exporting
from tutelage.recipes.exporting import export
from tutelage.recipes.wanted import Wanted

ALONE = """
import json, sys, torch
sys.modules["tutelage"] = None  # where it isn't installed
import transformers
name, folder, dtype, texts = sys.argv[1], sys.argv[2], getattr(torch, sys.argv[3]), json.loads(sys.argv[4])
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
model, told = getattr(transformers, name).from_pretrained(folder, output_loading_info=True)
assert not told["missing_keys"] and not told["unexpected_keys"] and model.dtype == dtype, (told, model.dtype)
chat = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True)
with torch.no_grad():
    logits = [model(**tokenizer(text, return_tensors="pt")).logits[0].float().reshape(-1)[:400].tolist() for text in texts]
print(json.dumps({"logits": logits, "chat": chat, "ends": model.can_generate() and model.generation_config.eos_token_id}))
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return small_run.finished(tmp_path_factory.mktemp("small"))


def folder_of(opened, stage):
    return opened.find(stage, opened.current()[stage]).path


def alone(folder, name="AutoModelForCausalLM", dtype="bfloat16"):
    command = [sys.executable, "-I", "-c", ALONE, name, str(folder), dtype, json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def ours(folder, dtype):
    network, tokenizer = weights.load(folder, dtype)
    with torch.no_grad():
        return [network(**tokenizer(text, return_tensors="pt")).logits[0].float().reshape(-1)[:400].tolist() for text in TEXTS]


@pytest.mark.parametrize(("dtype", "torch_dtype"), [("bf16", "bfloat16"), ("saved", "float32")])
def test_plain_loads_in_plain_transformers_with_equal_logits(opened, tmp_path, dtype, torch_dtype):
    done = export(opened, "sft", tmp_path / "out", Wanted(dtype=dtype, shard_size="20KB"))
    assert sum(name.endswith(".safetensors") for name in done.files) > 2, "sharded"
    found = alone(tmp_path / "out", dtype=torch_dtype)
    assert found["logits"] == ours(folder_of(opened, "sft") / "model", getattr(torch, torch_dtype)), "to the bit"
    assert found["chat"] == "<|user|>Hi<|assistant|>" and found["ends"] == 0


def test_bf16_is_half_of_what_training_left(opened, tmp_path):
    sizes = {
        dtype: export(opened, "sft", tmp_path / dtype, Wanted(dtype=dtype)).files["model.safetensors"] for dtype in ("bf16", "f32", "saved")
    }
    needed = {dtype: casting.size(folder_of(opened, "sft") / "model", dtype) for dtype in sizes}
    assert {dtype: casting.size(tmp_path / dtype, "saved") for dtype in sizes} == needed
    assert needed["bf16"] * 2 == needed["f32"] == needed["saved"] and sizes["bf16"] < 0.6 * sizes["f32"]


def test_merged_is_the_base_with_its_adapter(opened, tmp_path):
    done = export(opened, "lora", tmp_path / "out", Wanted("merged", dtype="saved"))
    assert alone(tmp_path / "out", dtype="float32")["logits"] == ours(folder_of(opened, "lora") / "model", torch.float32)
    assert done.notes == ("the stage's adapter is merged into these weights",)
    assert "trained no adapter" in export(opened, "sft", tmp_path / "sft", Wanted("merged")).notes[0]


def test_a_reward_model_is_a_classifier_with_its_scale(opened, tmp_path):
    done = export(opened, "judge", tmp_path / "out", Wanted())
    assert "score.json" in done.files
    assert len(alone(tmp_path / "out", "AutoModelForSequenceClassification")["logits"][0]) == 1
    front = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---\n")[1])
    assert front["pipeline_tag"] == "text-classification" and "reward-model" in front["tags"]


@pytest.mark.parametrize(("stage", "base"), [("lora", "the stage's"), ("onto", "the recipe's"), ("onto", "some/base")])
def test_an_adapter_names_a_base_that_peft_loads(opened, tmp_path, stage, base):
    there = "" if base != "some/base" else str(folder_of(opened, "sft") / "model")
    done = export(opened, stage, tmp_path / "out", Wanted("adapter", base=there))
    named = json.loads((tmp_path / "out" / "adapter_config.json").read_text())["base_model_name_or_path"]
    expected = {"the stage's": folder_of(opened, "sft") / "model", "the recipe's": opened.path.parent / "base", "some/base": there}[base]
    assert named == str(expected) and bool(done.notes) == (base != "some/base")
    code = f"from peft import *; print(AutoPeftModelForCausalLM.from_pretrained({str(tmp_path / 'out')!r}).peft_config['default'].r)"
    assert subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True).stdout.split()[-1] == "2"
    assert str(opened.path) not in (tmp_path / "out" / "README.md").read_text(), "a card tells no folders of whoever made it"


@pytest.mark.parametrize(
    ("stage", "wanted", "sentence"),
    [
        ("sft", Wanted("adapter"), "sft trained no adapter but all its weights; export it with --as plain"),
        ("prefix", Wanted(), "prefix learnt a prefix, which can't be merged into weights; export it with --as adapter"),
        ("prefix", Wanted("gguf"), "learnt a prefix"),
        ("judge", Wanted("gguf"), "judge is a reward model, which gives scores"),
        ("sft", Wanted(dtype="q8_0"), "--dtype q8_0 is of --as gguf only"),
        ("sft", Wanted("gguf", dtype="saved"), "--dtype saved is of transformers' folders"),
        ("sft", Wanted(base="a/b"), "--base is of --as adapter only"),
        ("sft", Wanted(shard_size="much"), "--shard-size much: .*; write it as 5GB or 500MB"),
        ("sfd", Wanted(), "no finished stage 'sfd'; did you mean 'sft'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_left(opened, tmp_path, stage, wanted, sentence):
    with pytest.raises(UserError, match=sentence):
        export(opened, stage, tmp_path / "out", wanted)
    assert list(tmp_path.iterdir()) == []


def test_a_prefix_goes_out_as_an_adapter(opened, tmp_path):
    export(opened, "prefix", tmp_path / "out", Wanted("adapter"))
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["peft_type"] == "PREFIX_TUNING"


def test_one_file_for_llama_cpp_with_its_card(opened, tmp_path, monkeypatch):
    pytest.importorskip("gguf", reason="llama.cpp's writer is not installed (pip install 'tutelage[gguf]')")
    done = export(opened, "lora", tmp_path / "out", Wanted("gguf", dtype="q8_0"))
    assert set(done.files) == {"lora-q8_0.gguf", "README.md", exporting.MARK}
    text = (tmp_path / "out" / "README.md").read_text()
    assert "llama-cli -m lora-q8_0.gguf" in text and yaml.safe_load(text.split("---\n")[1])["library_name"] == "gguf"
    monkeypatch.setitem(sys.modules, "tutelage.models.llamacpp.write", None)
    monkeypatch.delattr("tutelage.models.llamacpp.write")
    with pytest.raises(UserError, match=r"--as gguf needs llama.cpp's own writer: pip install 'tutelage\[gguf\]'"):
        export(opened, "lora", tmp_path / "other", Wanted("gguf"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_only_an_export_is_ever_replaced(opened, tmp_path):
    target = tmp_path / "out"
    export(opened, "sft", target, Wanted())
    with pytest.raises(UserError, match="already there; name another folder with --to, or replace an earlier export with --force"):
        export(opened, "lora", target, Wanted())
    export(opened, "lora", target, Wanted("adapter", force=True))
    assert not (target / "model.safetensors").exists() and (target / "adapter_config.json").exists()
    (target / exporting.MARK).unlink()
    with pytest.raises(UserError, match="not an export of Tutelage's"):
        export(opened, "sft", target, Wanted(force=True))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_a_full_disk_is_one_sentence_and_the_old_export_stands(opened, tmp_path, monkeypatch):
    target = tmp_path / "out"
    export(opened, "lora", target, Wanted("adapter"))
    before = {p.name: p.read_bytes() for p in target.iterdir()}
    with monkeypatch.context() as patched, pytest.raises(Interrupted, match=r"6\d\.\d KiB are needed there, 9 bytes are free"):
        patched.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 9}))
        export(opened, "sft", target, Wanted(force=True))
    with monkeypatch.context() as patched, pytest.raises(Interrupted, match="could not be written"):

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patched.setattr(casting, "save_file", full)
        export(opened, "sft", target, Wanted(force=True))
    assert {p.name: p.read_bytes() for p in target.iterdir()} == before and [p.name for p in tmp_path.iterdir()] == ["out"]


def test_every_card_says_it_and_what_it_was_made_from(opened, tmp_path):
    for stage, form in (("sft", "plain"), ("lora", "adapter"), ("judge", "plain")):
        export(opened, stage, tmp_path / stage, Wanted(form))
        text = (tmp_path / stage / "README.md").read_text()
        assert "Aligned by feedback is not aligned." in text and card.CAUTION in text
        assert "| demonstrations (shown.jsonl) | cc-by-4.0 |" in text and "| model (base) | apache-2.0 |" in text
        assert "It was not measured" in text and "| sft | sft | demonstrations, model |" in text
        front = yaml.safe_load(text.split("---\n")[1])
        assert front["library_name"] == ("peft" if form == "adapter" else "transformers")
        assert front["license"] == "other" and "base_model" not in front, "a folder's name is not a hub's"
    assert "| lora | sft | sft, demonstrations |" in (tmp_path / "lora" / "README.md").read_text()
