"""Configurations written by hand after what Axolotl, LLaMA-Factory and TRL publish: every key is accounted for, and what they ask for is
what runs: steps, rates, adapter, beta, rows."""

import json
from pathlib import Path

import pytest
import torch
from transformers import get_scheduler

from tests.cli.batch import ROOT, Answer, commands
from tutelage.core.settings import read_yaml
from tutelage.models import create, tokenizer, weights
from tutelage.recipes.moving import axolotl, door, llamafactory, trl
from tutelage.recipes.moving.result import Order

AXOLOTL = """\
base_model: model
load_in_4bit: true
datasets:
  - path: said.jsonl
    type: alpaca
dataset_prepared_path: last_run_prepared
val_set_size: 0.0
output_dir: ./outputs/out
adapter: qlora
lora_model_dir:
sequence_len: 128
sample_packing: false
lora_r: 4
lora_alpha: 12
lora_dropout: 0.05
lora_target_modules:
  - q_proj
  - v_proj
wandb_project:
gradient_accumulation_steps: 4
micro_batch_size: 2
num_epochs: 2
optimizer: adamw_bnb_8bit
lr_scheduler: cosine
learning_rate: 0.0002
bf16: auto
gradient_checkpointing: true
logging_steps: 1
warmup_ratio: 0.2
evals_per_epoch: 4
weight_decay: 0.01
special_tokens:
  pad_token: "<|end_of_text|>"
"""
FACTORY = """\
### model
model_name_or_path: model
trust_remote_code: true
### method
stage: dpo
do_train: true
finetuning_type: lora
lora_rank: 4
lora_target: all
pref_beta: 0.25
pref_loss: sigmoid
### dataset
dataset: pairs
dataset_dir: data
template: qwen3_nothink
cutoff_len: 128
max_samples: 26
### output
output_dir: saves/dpo
plot_loss: true
report_to: none
### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 5.0e-4
num_train_epochs: 2.0
lr_scheduler_type: linear
warmup_steps: 2
bf16: false
"""
TRL = "trl sft --model_name_or_path model --dataset_name chats.jsonl --learning_rate 3e-4 --use_peft --lora_r 4"
EVERY = "--lora_target_modules all-linear --max_steps 5"
INFO = {
    "pairs": {
        "file_name": "pairs.jsonl",
        "ranking": True,
        "formatting": "sharegpt",
        "columns": {"messages": "talk", "chosen": "good", "rejected": "bad"},
    },
    "poems": {"file_name": "poems.jsonl", "columns": {"prompt": "title", "query": "style", "response": "poem"}},
    "far": {"hf_hub_url": "some/set"},
}
LINES = {
    "axolotl": ["import", "axolotl.yml", "--out", "axolotl.yaml"],
    "factory": ["import", "factory.yaml", "--out", "moved.yaml"],
    "trl": ["import", *TRL.split(), *EVERY.split(), "--out", "trl.yaml"],
}


def written(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moving")
    words = tokenizer.bpe(["say it again and then say what it was " * 20], 400)
    weights.save(create.new("nano", words, 0, "llama"), words, folder / "model")
    written(folder / "said.jsonl", [{"instruction": f"say {n}", "input": "", "output": f"{n} again"} for n in range(50)])
    written(
        folder / "chats.jsonl",
        [{"messages": [{"role": "user", "content": f"{n}"}, {"role": "assistant", "content": "it"}]} for n in range(20)],
    )
    (folder / "data").mkdir()
    pairs = [
        {
            "talk": [{"from": "human", "value": f"say {n}"}],
            "good": {"from": "gpt", "value": f"{n}"},
            "bad": {"from": "gpt", "value": "what"},
        }
        for n in range(40)
    ]
    written(folder / "data" / "pairs.jsonl", pairs)
    written(folder / "data" / "poems.jsonl", [{"title": f"rain {n}", "style": "short", "poem": "it was"} for n in range(9)])
    (folder / "data" / "dataset_info.json").write_text(json.dumps(INFO))
    (folder / "axolotl.yml").write_text(AXOLOTL)
    (folder / "factory.yaml").write_text(FACTORY)
    return folder


@pytest.fixture(scope="module")
def moved(folder: Path) -> dict[str, Answer]:
    """Each configuration imported, planned and run, in one process."""
    lines = [*LINES.values(), ["plan", "axolotl.yaml"], ["plan", "moved.yaml"], ["plan", "trl.yaml"]]
    runs = [["run", "axolotl.yaml", "--out", "a"], ["run", "moved.yaml", "--out", "f"], ["run", "trl.yaml", "--out", "t"]]
    names = [f"{verb} {name}" for verb in ("import", "plan", "run") for name in LINES]
    return dict(zip(names, commands([*lines, *runs], folder), strict=True))


def metrics(folder: Path, run: str) -> list[dict]:
    (path,) = (folder / run).glob("artifacts/*/metrics.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def config(folder: Path, run: str) -> dict:
    (path,) = (folder / run).glob("artifacts/*/adapter/adapter_config.json")
    return json.loads(path.read_text())


def theirs(kind: str, rate: float, warmup: int, steps: int) -> list[float]:
    """The rates that transformers' own scheduler gives."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler = get_scheduler(kind, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    found: list[float] = []
    for _ in range(steps):
        found.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return found


def test_every_recipe_is_written_planned_and_run(moved: dict[str, Answer]) -> None:
    assert {name: answer.err for name, answer in moved.items() if answer.code} == {}


def test_axolotl_what_was_asked_for_is_what_ran(folder: Path, moved: dict[str, Answer]) -> None:
    rows = metrics(folder, "a")
    assert len(rows) == 2 * 7, "two epochs of 50 rows in steps of 2 x 4"
    assert [row["learning_rate"] for row in rows] == pytest.approx(theirs("cosine", 2e-4, 3, 14), rel=1e-12)
    saved = config(folder, "a")
    assert (saved["r"], saved["lora_alpha"], sorted(saved["target_modules"])) == (4, 12, ["q_proj", "v_proj"])
    stage = read_yaml(folder / "axolotl.yaml").tree["stages"]["sft"]
    assert stage["rates"] | {"weight_decay": 0.01, "beta2": 0.999, "clip": 1.0} == stage["rates"] and stage["max_length"] == 128
    (made,) = (folder / "a").glob("artifacts/*/artifact.json")
    assert json.loads(made.read_text())["results"]["rows"] == 50, "val_set_size: 0.0 holds nothing out"


def test_llama_factory_what_was_asked_for_is_what_ran(folder: Path, moved: dict[str, Answer]) -> None:
    rows = metrics(folder, "f")
    assert len(rows) == 2 * 4, "two epochs of max_samples 26 in steps of 8, the last one of 2"
    assert [row["learning_rate"] for row in rows] == pytest.approx(theirs("linear", 5e-4, 2, 8), rel=1e-12)
    saved = config(folder, "f")
    assert (saved["r"], saved["lora_alpha"]) == (4, 8) and "down_proj" in saved["target_modules"], (
        "alpha is twice the rank, all is all-linear"
    )
    tree = read_yaml(folder / "moved.yaml").tree
    assert tree["stages"]["dpo"]["beta"] == 0.25 and tree["inputs"]["preferences"] == "moved.preferences.jsonl"
    first = json.loads((folder / "moved.preferences.jsonl").read_text().splitlines()[0])
    assert first == {"prompt": [{"role": "user", "content": "say 0"}], "chosen": "0", "rejected": "what"}
    assert "float32" in moved["run factory"].err, "bf16: false"


def test_trl_what_was_asked_for_is_what_ran(folder: Path, moved: dict[str, Answer]) -> None:
    rows = metrics(folder, "t")
    assert [row["learning_rate"] for row in rows] == pytest.approx(theirs("linear", 3e-4, 0, 5), rel=1e-12)
    assert (config(folder, "t")["r"], config(folder, "t")["lora_alpha"]) == (4, 32), "alpha is TRL's default"
    assert "lora_dropout 0.05" in moved["import trl"].out and "completion_only_loss" in moved["import trl"].out


def test_every_key_ends_in_one_way_and_what_was_lost_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for file, keys in (("axolotl.yml", AXOLOTL), ("factory.yaml", FACTORY)):
        made = door.from_file(Order(Path(file), Path("x.yaml"), 1), None)
        notes = made.moved.account.notes
        for key in read_yaml(keys).tree:
            assert any(note == key or note.startswith(f"{key}.") for note in notes), key
    account = door.from_file(Order(Path("axolotl.yml"), Path("x.yaml"), 1), None).moved.account
    fates = {key: note.fate for key, note in account.notes.items()}
    assert {key for key, fate in fates.items() if fate == "lost"} == {"lora_dropout", "evals_per_epoch"}
    assert account.settings.get(("stages", "sft", "adapter", "base")) == "nf4"
    assert fates["optimizer"] == "otherwise" and fates["learning_rate"] == "carried" and fates["wandb_project"] == "unneeded"
    assert account.notes["lora_dropout"].line == 15


def test_no_key_is_known_in_two_ways() -> None:
    for peer in (axolotl.peer(), llamafactory.peer(), trl.peer("sft")):
        told = [key for some in (peer.unneeded, peer.lost) for keys in some.values() for key in set(keys)]
        assert len(told) > 100 and not set(told) & {*peer.defaults, *peer.read}, set(told) & {*peer.defaults, *peer.read}
        assert not (set().union(*map(set, peer.unneeded.values())) & set().union(*map(set, peer.lost.values())))


def text_of(folder: Path, name: str, text: str, gpus: int = 1) -> dict:
    (folder / name).write_text(text)
    made = door.from_file(Order(folder / name, folder / "other.yaml", gpus), None)
    return {"tree": read_yaml(made.text).tree, "text": made.text, "files": made.moved.files, "notes": made.moved.account.notes}


def test_packed_sequences_and_gpus_are_factors_of_a_step(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    stage = text_of(folder, "packed.yml", AXOLOTL.replace("sample_packing: false", "sample_packing: true"), gpus=4)["tree"]["stages"]["sft"]
    assert stage["step_tokens"] == 2 * 4 * 4 * 128 and "batch" not in stage
    assert text_of(folder, "rows.yml", AXOLOTL, gpus=4)["tree"]["stages"]["sft"]["batch"] == 32


def test_epochs_that_are_not_whole_become_steps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    made = text_of(folder, "half.yml", AXOLOTL.replace("num_epochs: 2", "num_epochs: 1.5"))
    assert made["tree"]["stages"]["sft"]["steps"] == 11 and made["notes"]["num_epochs"].fate == "otherwise", "ceil(7 x 1.5)"


def test_columns_of_other_names_are_written_anew_and_joined(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    text = (
        FACTORY.replace("stage: dpo", "stage: sft")
        .replace("dataset: pairs", "dataset: poems,poems")
        .replace("max_samples: 26", "max_samples: 3")
    )
    made = text_of(folder, "poems.yaml", text)
    (rows,) = made["files"].values()
    told = [json.loads(line) for line in rows.splitlines()]
    assert len(told) == 6 and told[0]["messages"][0] == {"role": "user", "content": "rain 0\nshort"}, (
        "LLaMA-Factory joins with one line's end"
    )
    assert told[0]["messages"][1]["content"] == "it was"


def test_data_on_the_hub_is_left_for_the_user_to_bring(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    made = text_of(folder, "hub.yml", AXOLOTL.replace("said.jsonl", "tatsu-lab/alpaca"))
    assert made["tree"]["inputs"] == {"demonstrations": None} and "hf download --repo-type dataset tatsu-lab/alpaca" in made["text"]


def test_rank_stabilized_scaling_is_another_alpha(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    made = text_of(folder, "rs.yml", AXOLOTL + "peft_use_rslora: true\n")["tree"]["stages"]["sft"]["adapter"]
    assert made["alpha"] / made["rank"] == pytest.approx(12 / 4**0.5)


def test_the_page_of_documentation_shows_what_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    page = (ROOT / "docs" / "coming-over.md").read_text()
    asked, becomes, theirs, *_ = [part.split("```")[0] for part in page.split("```yaml\n")[1:]]
    assert text_of(folder, "page.yml", asked)["text"].partition("\n\n")[2] == becomes
    stage = text_of(folder, "page.yaml", theirs)["tree"]["stages"]["dpo"]
    said = "beta: 0.1, batch: 8, epochs: 3, whole_epochs: true, max_length: 2048, adapter: {rank: 8, alpha: 16.0, targets: all-linear}"
    assert said in page and stage | read_yaml("{" + said + "}").tree == stage


BAD = {
    "yaml": ("a: [1", "bad.yml line 1: not valid YAML"),
    "empty": ("", "bad.yml: the file is empty"),
    "none of the three": ("colour: red\n", "bad.yml: its keys are of none of axolotl"),
    "no keys": ("- 1\n", "expected keys and values"),
    "twice": (AXOLOTL + "lora_r: 8\n", "line 34: lora_r: duplicate key, first given in line 13"),
    "misspelt": (
        AXOLOTL.replace("micro_batch_size", "micro_batch_sise"),
        "line 21: micro_batch_sise: Axolotl has no such key; did you mean",
    ),
    "no file": (AXOLOTL.replace("said.jsonl", "./gone.jsonl"), "line 4: datasets.0.path: there is no file gone.jsonl"),
    "a word": (AXOLOTL.replace("0.0002", "fast"), "line 25: learning_rate: expected a number, got 'fast'"),
    "out of range": (AXOLOTL.replace("lora_r: 4", "lora_r: 0"), "line 13: stages.sft.adapter.rank"),
    "no rate": (AXOLOTL.replace("learning_rate: 0.0002\n", ""), "sets no learning rate"),
    "no such objective": (AXOLOTL + "rl: simpo\n", "line 34: rl: there is no way over for simpo"),
    "no such type": (
        AXOLOTL.replace("type: alpaca", "type: jeopardy"),
        "line 5: datasets.0.type: there is no way over for the type jeopardy",
    ),
    "no such adapter": (AXOLOTL.replace("adapter: qlora", "adapter: llama-adapter"), "line 9: adapter: there is no adapter llama-adapter"),
    "a misspelt field": (AXOLOTL.replace("    type: alpaca", "    tpye: alpaca"), "did you mean 'type'?"),
    "no such data set": (
        FACTORY.replace("dataset: pairs", "dataset: pears"),
        "dataset_info.json has no data set 'pears'; did you mean 'pairs'?",
    ),
    "no preferences": (FACTORY.replace("dataset: pairs", "dataset: poems"), "'poems' is no data set of preferences"),
    "no such loss": (FACTORY.replace("sigmoid", "orpo"), "line 11: pref_loss: there is no objective orpo"),
    "no such stage": (FACTORY.replace("stage: dpo", "stage: kto"), "line 5: stage: there is no way over for the stage kto"),
    "which trainer": ("dataset_name: x/y\nmodel_name_or_path: model\nuse_peft: true\n", "doesn't say which of TRL's trainers it is for"),
}
COMMANDS = {
    "trl": "say which trainer",
    "trl sfft --model_name_or_path model": "did you mean 'sft'?",
    "trl kto --model_name_or_path model --dataset_name chats.jsonl": "there is no way over for trl kto",
    "trl sft --model_name_or_path model --dataset_name chats.jsonl --learnin_rate 1": "TRL has no such key; did you mean 'learning_rate'?",
    "trl sft --lora_r 1 --lora_r 2": "--lora_r is given twice",
    "trl sft --config gone.yaml": "gone.yaml: no such file",
    "trl dpo --model_name_or_path model --dataset_name chats.jsonl --loss_type ipo": "there is no objective ipo",
    "axolotl.yml more": "one argument too many",
    "axolotl.yml --format axolotl2": "there is axolotl, llamafactory, trl",
    "axolotl.yml --out nowhere/x.yaml": "there is no folder nowhere",
}


def test_what_is_wrong_is_one_sentence_and_nothing_is_written(folder: Path) -> None:
    for name, (text, _) in BAD.items():
        (folder / name.replace(" ", "_")).mkdir()
        (folder / name.replace(" ", "_") / "bad.yml").write_text(text)
    before = sorted(folder.rglob("*"))
    lines = [["import", f"{name.replace(' ', '_')}/bad.yml", "--out", "bad.yaml"] for name in BAD]
    answers = commands([*lines, *(["import", *line.split()] for line in COMMANDS)], folder)
    wrong: list[tuple[str, Answer]] = []
    for (name, said), answer in zip([*((n, s) for n, (_, s) in BAD.items()), *COMMANDS.items()], answers, strict=True):
        lines = [line for line in answer.err.splitlines() if "kernels-community" not in line]  # bitsandbytes', where it is installed
        if (answer.code, answer.out, len(lines)) != (2, "", 1) or said not in answer.err:
            wrong.append((name, answer))
    assert not wrong, "\n".join(map(str, wrong))
    assert sorted(folder.rglob("*")) == before
