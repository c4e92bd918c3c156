"""Responses that a study's models give to items without any: sampled once, by each model in its turn, then never changed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import MambaConfig, MambaForCausalLM

from tests.cli.batch import commands
from tutelage.models import create, tokenizer

PAGE = "schema: 1\ntitle: Which?\nquestions: [{task: ranking}]\nitems: items.jsonl\npeople: [{name: ann-01}]\n"
ROWS = (
    {"prompt": "name animal .", "id": "q-1"},
    {"prompt": "animal name .", "responses": ["dog", "cat"]},
    {"prompt": "name .", "responses": [], "category": "short"},
)
INVITE = ["label", "invite", "study/study.yaml", "ann-01"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study beside two models that differ."""
    words = tokenizer.words(["name", "animal", ".", "dog", "cat"], 64)
    for seed in (0, 1):
        at = tmp_path / "study" / "models" / f"m{seed}"
        create.new("nano", words, seed=seed).save_pretrained(at)
        words.save_pretrained(at)
    (tmp_path / "study" / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return tmp_path


def page(folder: Path, responses: str) -> None:
    (folder / "study" / "study.yaml").write_text(PAGE + f"responses: {responses}\n")


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "study").glob("items.sampled-*.jsonl"))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_model_answers_once_and_for_all(folder: Path) -> None:
    page(folder, "{from: [models/m0, models/m1], count: 3, max_tokens: 8}")
    first = commands([INVITE], folder)[0]
    assert first.code == 0 and "ann-01: http" in first.out and "sampling from models/m1" in first.err, first.err
    (file,) = kept(folder)
    rows = rows_of(file)
    assert [[one["by"] for one in row["responses"]] for row in (rows[0], rows[2])] == [["models/m0", "models/m0", "models/m1"]] * 2
    assert rows[1] == ROWS[1] and rows[0]["id"] == "q-1" and rows[2]["category"] == "short"
    assert len({one["text"] for row in (rows[0], rows[2]) for one in row["responses"]}) > 3  # neither one sample nor one model
    again = commands([INVITE], folder)[0]
    assert again.code == 0 and "sampling" not in again.err and rows_of(file) == rows


def test_rows_that_come_later_are_answered_then_and_nobody_elses_change(folder: Path) -> None:
    page(folder, "{from: [models/m0], count: 2, max_tokens: 8}")
    commands([INVITE], folder)
    (file,) = kept(folder)
    rows = rows_of(file)
    items = folder / "study" / "items.jsonl"
    items.write_text(json.dumps({"prompt": "animal ."}) + "\n" + items.read_text())
    later = commands([INVITE], folder)[0]
    assert later.code == 0 and "sampling from models/m0: 1/1" in later.err, later.err
    assert rows_of(file)[1:] == rows and len(rows_of(file)[0]["responses"]) == 2
    page(folder, "{from: [models/m1], count: 2, max_tokens: 8}")
    other = commands([INVITE], folder)[0]
    assert other.code == 2 and "q-1" in other.err and len(kept(folder)) == 2  # an item with an id of its own can't change its answers


@pytest.mark.parametrize(
    ("responses", "sentence"),
    [
        ("{from: [models/m0, models/m3]}", "models/m3: no model here (config.json is missing); name RUN:STAGE or a model folder"),
        ("{from: [runs/demo:sft]}", "runs/demo"),
        ("{from: [models/m0, models/m1], count: 1}", "1 responses can't come from 2 models; set count: 2 or more"),
        ("{from: [models/m0], max_tokens: 256}", "max_tokens 256 leaves no room for a prompt in its context of 256; set max_tokens: 128"),
        ("{from: [models/m0], max_tokens: 255}", "items.jsonl:1: the prompt has"),
    ],
)
def test_models_that_cannot_answer(folder: Path, responses: str, sentence: str) -> None:
    page(folder, responses)
    refused = commands([INVITE], folder)[0]
    assert refused.code == 2 and sentence in " ".join(refused.err.split()) and not kept(folder), refused.err


def test_a_model_that_writes_slowly_says_so_in_chat_and_in_sampling(folder: Path) -> None:
    at = folder / "study" / "models" / "slow"
    torch.manual_seed(0)
    slow = MambaForCausalLM(MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=4, pad_token_id=1))
    slow.save_pretrained(at)
    tokenizer.words(["name", "animal", ".", "dog", "cat"], 64).save_pretrained(at)
    config = json.loads((at / "config.json").read_text())
    (at / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 64}))
    page(folder, "{from: [models/slow, models/m0], count: 2, max_tokens: 4}")
    sampled, said = commands([INVITE, ["chat", str(at), "--say", "name animal .", "--max-tokens", "3"]], folder)
    note = "words are written by the model's own modules, reading everything anew for each"
    assert sampled.code == 0 and f"models/slow: {note}" in " ".join(sampled.err.split()), sampled.err
    assert sampled.err.count("own modules") == 1  # and nothing of the other
    assert said.code == 0 and note in " ".join(said.err.split()) and said.out.strip(), said.err
