"""What configurations have that tools publish beside their code, and the first import from files written by hand had not: plugins, patterns
of layers, numbers as YAML 1.1 has them, data for models that see."""

import json
from pathlib import Path

import pytest

from tests.recipes.test_moving import AXOLOTL, FACTORY, TRL, config, folder, text_of
from tutelage.core.errors import UserError
from tutelage.core.readers import demonstrations
from tutelage.recipes import recipe, runner
from tutelage.recipes.moving import door
from tutelage.recipes.moving.result import Order

__all__ = ["folder"]
FAST = """\
plugins:
  - axolotl.integrations.liger.LigerPlugin
  - axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin
liger_rope: true
liger_rms_norm: true
liger_glu_activation: true
liger_fused_linear_cross_entropy: true
"""
PATTERN = r"model.language_model.layers.[\d]+.(_checkpoint_wrapped_module.)?(mlp|self_attn).(up|v)_proj"
NAMED = "lora_target_modules:\n  - q_proj\n  - v_proj\n"


def changed(*changes: tuple[str, str], text: str = AXOLOTL) -> str:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_plugins_that_are_only_fast_are_not_needed_and_others_are_lost(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    notes = text_of(folder, "fast.yml", AXOLOTL + FAST)["notes"]
    assert {notes[key].fate for key in ("plugins", "liger_rope", "liger_fused_linear_cross_entropy")} == {"unneeded"}
    notes = text_of(folder, "strange.yml", AXOLOTL + FAST.replace("liger.LigerPlugin", "spectrum.SpectrumPlugin"))["notes"]
    assert notes["plugins"].fate == "lost" and "SpectrumPlugin" in notes["plugins"].what and "CutCross" not in notes["plugins"].what


@pytest.mark.parametrize("key", ["diffusion:\n  eps: 0.1\n", "kd_trainer: 1.0\n"])
def test_a_plugin_that_trains_for_something_else_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match=f"line 34: {key.partition(':')[0]}: there is no way over for what this plugin trains for; nothing"):
        text_of(folder, "other.yml", AXOLOTL + key)


def test_a_pattern_of_layers_is_written_so_that_it_is_read_and_adapted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    made = text_of(folder, "pattern.yml", changed((NAMED, f"lora_target_modules: '{PATTERN}'\n"), ("num_epochs: 2", "max_steps: 1")))
    assert made["tree"]["stages"]["sft"]["adapter"]["targets"] == PATTERN
    (folder / "pattern.yaml").write_text(made["text"])
    runner.run(recipe.load("pattern.yaml"), folder / "p")
    assert {name.rpartition(".")[2] for name in config(folder, "p")["target_modules"]} == {"up_proj", "v_proj"}


def test_text_with_the_marks_of_lists_stands_in_quotes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flow of YAML would end at them."""
    monkeypatch.chdir(folder)
    names = ["[ab]_proj", "x, y", "{z}", "q_proj"]
    made = text_of(folder, "marks.yml", changed((NAMED, f"lora_target_modules: {json.dumps(names)}\n")))
    assert made["tree"]["stages"]["sft"]["adapter"]["targets"] == names


@pytest.mark.parametrize(("said", "meant"), [("1_28", 128), ("'128'", 128), ("1.28e+2", 128)])
def test_numbers_are_read_as_peers_read_them(folder: Path, monkeypatch: pytest.MonkeyPatch, said: str, meant: int) -> None:
    monkeypatch.chdir(folder)
    made = text_of(folder, "numbers.yml", changed(("sequence_len: 128", f"sequence_len: {said}"), ("0.0002", '"2e-4"')))
    stage = made["tree"]["stages"]["sft"]
    assert stage["max_length"] == meant and stage["rates"]["learning_rate"] == 2e-4


def test_a_token_that_pads_is_not_needed_and_one_that_ends_is_lost(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert text_of(folder, "pads.yml", AXOLOTL)["notes"]["special_tokens"].fate == "unneeded"
    assert text_of(folder, "ends.yml", AXOLOTL + '  eos_token: "<|end|>"\n')["notes"]["special_tokens"].fate == "lost"


def test_what_a_data_set_has_that_is_not_read_is_lost(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    made = text_of(folder, "thinks.yml", changed(("type: alpaca", "type: alpaca\n    drop_system_message: true\n    field_thinking: why")))
    assert {made["notes"][f"datasets.0.{key}"].fate for key in ("drop_system_message", "field_thinking")} == {"lost"}


def test_pictures_are_lost_and_their_rows_are_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    info = json.loads((folder / "data" / "dataset_info.json").read_text())
    info["seen"] = {**info["poems"], "columns": {**info["poems"]["columns"], "images": "pictures"}}
    (folder / "seen").mkdir()
    (folder / "seen" / "dataset_info.json").write_text(json.dumps(info))
    (folder / "seen" / "poems.jsonl").write_text((folder / "data" / "poems.jsonl").read_text())
    text = changed(
        ("stage: dpo", "stage: sft"), ("dataset: pairs", "dataset: seen"), ("dataset_dir: data", "dataset_dir: seen"), text=FACTORY
    )
    note = text_of(folder, "seen.yaml", text)["notes"]["dataset"]
    assert note.fate == "lost" and "images of 'seen': text alone is learnt from" in note.what


def test_a_call_of_a_function_is_the_assistants(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are written anew, since only some are asked for, say the same as those that are read as they are."""
    monkeypatch.chdir(folder)
    call = {"name": "rain", "arguments": {"where": "here"}}
    turns = [("human", "will it?"), ("function_call", json.dumps(call)), ("observation", "yes"), ("gpt", "it will")]
    rows = [{"conversations": [{"from": who, "value": said} for who, said in turns], "tools": "[]"}] * 3
    (folder / "calls").mkdir()
    (folder / "calls" / "calls.json").write_text(json.dumps(rows))
    told = {"file_name": "calls.json", "formatting": "sharegpt", "columns": {"messages": "conversations", "tools": "tools"}}
    (folder / "calls" / "dataset_info.json").write_text(json.dumps({"calls": told}))
    text = changed(
        ("stage: dpo", "stage: sft"), ("dataset: pairs", "dataset: calls"), ("dataset_dir: data", "dataset_dir: calls"), text=FACTORY
    )
    (made,) = text_of(folder, "calls.yaml", text)["files"].values()
    (folder / "anew.jsonl").write_text(made)
    (folder / "asis.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    anew, as_is = (list(demonstrations(folder / name)) for name in ("anew.jsonl", "asis.jsonl"))
    assert len(anew) == 3 and anew[0].prompt.messages[1].tool_calls and [d.prompt for d in anew] == [d.prompt for d in as_is]
    (folder / "calls" / "calls.json").write_text(json.dumps(rows).replace('\\"where\\": ', ""))
    with pytest.raises(UserError, match="a call of a function is written as JSON"):
        text_of(folder, "calls.yaml", text)


def test_files_that_train_nothing_or_are_of_another_trainer_say_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(UserError, match="line 3: export_dir: this file merges and saves a model, which `tutelage export` does"):
        text_of(folder, "merges.yaml", "model_name_or_path: model\ntemplate: qwen3\nexport_dir: out\n")
    with pytest.raises(UserError, match="v1 trainer"):
        text_of(folder, "newer.yaml", "model: model\ntrain_dataset: data.yaml\npeft_config:\n  name: lora\ncutoff_len: 128\n")


def test_what_trl_called_the_length_before_is_still_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    made = door.from_command([*TRL.split()[1:], "--max_seq_length", "77"], Order(Path(), Path("x.yaml"), 1))
    assert made.moved.account.settings["stages", "sft", "max_length"] == 77
