"""An adapter that another tool left with peft is learnt on: it begins as peft computes it, is measured against that, is saved as it was."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from tutelage.core.errors import UserError
from tutelage.models import adapters, create, tokenizer, weights
from tutelage.models.adapters import Peft
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import plan, run
from tutelage.recipes.training import frozen, learner

EXACT = "machine: {precision: float32}"
"""A base that computes in bfloat16 is rounded, and what is merged into it with it."""
IDS = torch.tensor([[3, 9, 11, 12, 15, 16, 17, 18]])
PAGE = """\
schema: 1
model: {model}
inputs: {{rows: {rows}, prompts: {rows}}}
stages:
  {stage}: {{method: {method}, adapter: {{kind: peft, from: {adapter}}}, {more}}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`model`, a plain transformers folder; `theirs`, an adapter on it that learnt something, with dropout and DoRA's and rank-stabilized
    siblings; rows."""
    folder = tmp_path_factory.mktemp("continuing")
    words = tokenizer.bpe(["say it again and then say what it was " * 20], 400)
    weights.save(create.new("nano", words, 0, "llama"), words, folder / "model")
    for name, more in {"theirs": {}, "dora": {"use_dora": True}, "stabilized": {"use_rslora": True}}.items():
        base = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
        base.name_or_path = "meta-llama/Llama-3.2-1B"
        config = LoraConfig(r=4, lora_alpha=12, lora_dropout=0.05, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", **more)
        theirs = get_peft_model(base, config)
        with torch.no_grad():
            for key, p in theirs.named_parameters():
                if "lora_B" in key:
                    p.normal_(0, 0.05, generator=torch.Generator().manual_seed(len(key)))
        theirs.peft_config["default"].base_model_name_or_path = "meta-llama/Llama-3.2-1B"
        theirs.save_pretrained(folder / name)
    rows = [{"prompt": f"say {n}", "chosen": f"{n} again", "rejected": "what"} for n in range(12)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = [{"prompt": f"say {n}", "completion": f"{n} again"} for n in range(12)]
    (folder / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    return folder


def page(folder: Path, method: str, rows: str, more: str, adapter: str = "theirs") -> str:
    path = folder / f"{method}.yaml"
    told = {"model": folder / "model", "rows": folder / rows, "adapter": folder / adapter, "stage": f"the_{method}"}
    path.write_text(PAGE.format(method=method, more=more, **told))
    return str(path)


def theirs(folder: Path, adapter: Path) -> torch.Tensor:
    """Logits as plain peft computes them."""
    base = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    with torch.no_grad():
        return PeftModel.from_pretrained(base, adapter).eval()(IDS).logits


@pytest.mark.parametrize("name", ["theirs", "dora", "stabilized"])
def test_it_begins_with_the_logits_that_peft_computes(folder: Path, name: str) -> None:
    model, _ = weights.load(folder / "model", torch.float32)
    with torch.no_grad():
        bare = model(IDS).logits
        role = learner(model, Peft(str(folder / name)), 0)
        ours = role.network(IDS).logits
    assert torch.equal(ours, theirs(folder, folder / name)) and not torch.allclose(ours, bare, atol=1e-3)
    assert {p.shape for p in role.parameters()} and all(
        ".policy." in n for n, p in role.network.named_parameters() if p in set(role.parameters())
    )


def test_its_reference_is_a_copy_of_it_not_the_bare_model(folder: Path) -> None:
    model, _ = weights.load(folder / "model", torch.float32)
    kept = Peft(str(folder / "theirs"))
    role = learner(model, kept, 0)
    reference = frozen(role, kept)
    assert reference.adapter == "reference"
    for p in role.parameters():
        p.data.add_(0.1)
    reference.network.set_adapter("reference")  # pyright: ignore[reportCallIssue]
    with torch.no_grad():
        assert torch.equal(reference.network(IDS).logits, theirs(folder, folder / "theirs"))


def test_sft_learns_on_and_saves_it_as_it_came(folder: Path, tmp_path: Path) -> None:
    made = run(
        load(page(folder, "sft", "said.jsonl", "data: rows, batch: 4, split: all, rates: {learning_rate: 1e-9, warmup: 0.0}, " + EXACT)),
        tmp_path / "run",
    )
    left = made.artifacts["the_sft"].path / "adapter"
    before, after = (json.loads((at / adapters.SETTINGS).read_text()) for at in (folder / "theirs", left))
    assert {key: after[key] for key in ("r", "lora_alpha", "lora_dropout", "base_model_name_or_path", "task_type", "bias")} == {
        key: before[key] for key in ("r", "lora_alpha", "lora_dropout", "base_model_name_or_path", "task_type", "bias")
    }
    assert sorted(after["target_modules"]) == ["q_proj", "v_proj"]
    assert torch.allclose(theirs(folder, left), theirs(folder, folder / "theirs"), atol=1e-5), "a rate of 1e-9 moves nothing"
    whole = AutoModelForCausalLM.from_pretrained(left.parent / "model", dtype=torch.float32)
    with torch.no_grad():
        assert torch.allclose(whole(IDS).logits, theirs(folder, left), atol=1e-5)


def test_dpo_begins_as_its_reference_and_moves_from_it(folder: Path, tmp_path: Path) -> None:
    made = run(
        load(page(folder, "dpo", "pairs.jsonl", "preferences: rows, batch: 4, split: all, rates: {learning_rate: 1e-2}")), tmp_path / "run"
    )
    rows = [json.loads(line) for line in (made.artifacts["the_dpo"].path / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["preference"] == pytest.approx(0.693147, abs=1e-6) and rows[0]["reward"] == 0.0, "log 2: no step was taken yet"
    assert rows[-1]["preference"] < 0.68
    left = made.artifacts["the_dpo"].path / "adapter"
    assert not torch.allclose(theirs(folder, left), theirs(folder, folder / "theirs"), atol=1e-3)


def short(prompt: object, response: object) -> float:
    return 0.5


@pytest.mark.parametrize("method", ["ppo", "grpo"])
def test_it_is_reinforced(folder: Path, tmp_path: Path, method: str) -> None:
    more = (
        "prompts: prompts, reward_model: tests.recipes.test_continuing:short, split: all, probe_every: 0, updates: 1, max_tokens: 4, "
        + ("rollouts: {prompts: 4, samples: 2, minibatches: 1}, rates: {learning_rate: 1e-9}")
    )
    made = run(load(page(folder, method, "said.jsonl", more)), tmp_path / "run")
    (row,) = [json.loads(line) for line in (made.artifacts[f"the_{method}"].path / "metrics.jsonl").read_text().splitlines()]
    assert abs(row.get("kl", 0.0)) < 1e-4, "the reference is the adapter that it began with"
    assert torch.allclose(theirs(folder, made.artifacts[f"the_{method}"].path / "adapter"), theirs(folder, folder / "theirs"), atol=1e-4)


def test_another_adapter_in_the_folder_is_another_artifact(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "theirs", tmp_path / "adapter")
    recipe = load(page(folder, "sft", "said.jsonl", "data: rows", adapter=str(tmp_path / "adapter")))
    (first,) = plan(recipe, None)
    file = tmp_path / "adapter" / adapters.WEIGHTS
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    (second,) = plan(recipe, None)
    assert first.hash != second.hash and first.inputs.keys() == second.inputs.keys() >= {"adapter"}


BROKEN = {
    "no folder": (None, "no adapter_config.json here"),
    "another kind": ({"peft_type": "IA3"}, "IA3 can't be learnt on"),
    "whole modules": ({"modules_to_save": ["lm_head"]}, "modules_to_save ['lm_head'] can't be learnt on"),
    "biases": ({"bias": "all"}, "bias 'all' can't be learnt on"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_what_cannot_be_learnt_on_is_said_with_its_line(folder: Path, tmp_path: Path, fault: str) -> None:
    change, said = BROKEN[fault]
    if change is not None:
        shutil.copytree(folder / "theirs", tmp_path / "adapter")
        config = json.loads((tmp_path / "adapter" / adapters.SETTINGS).read_text())
        (tmp_path / "adapter" / adapters.SETTINGS).write_text(json.dumps({**config, **change}))
    with pytest.raises(UserError) as error:
        load(page(folder, "sft", "said.jsonl", "data: rows", adapter=str(tmp_path / "adapter")))
    assert said in str(error.value) and "line 5: stages.the_sft.adapter" in str(error.value)


@pytest.mark.parametrize(
    "file, holds, said",
    [
        (adapters.SETTINGS, "{", "broken JSON"),
        (adapters.SETTINGS, "[]", "no adapter's settings"),
        (adapters.WEIGHTS, "junk", "has no whole header; copy it again"),
    ],
)
def test_a_damaged_adapter_is_refused_when_the_recipe_is_read(folder: Path, tmp_path: Path, file: str, holds: str, said: str) -> None:
    shutil.copytree(folder / "theirs", tmp_path / "adapter")
    (tmp_path / "adapter" / file).write_text(holds)
    with pytest.raises(UserError) as error:
        load(page(folder, "sft", "said.jsonl", "data: rows", adapter=str(tmp_path / "adapter")))
    assert said in str(error.value) and str(tmp_path / "adapter" / file) in str(error.value)


def test_an_adapter_of_another_shape_is_refused(folder: Path, tmp_path: Path) -> None:
    words = tokenizer.bpe(["say it again " * 20], 400)
    weights.save(create.new("tiny", words, 0, "llama"), words, tmp_path / "other")
    model, _ = weights.load(tmp_path / "other", torch.float32)
    with pytest.raises(UserError, match="doesn't fit the model"):
        learner(model, Peft(str(folder / "theirs")), 0)
