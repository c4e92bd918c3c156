import json
from pathlib import Path

import pytest

from tests.recipes.pages import folder_model, page
from tutelage.core.run import Run
from tutelage.recipes.forecast.labor import labels
from tutelage.recipes.forecast.network import Network, memory_of, operations
from tutelage.recipes.forecast.show import notes, table
from tutelage.recipes.forecast.smaller import fitting
from tutelage.recipes.plan import Forecast, forecast
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run

PAGE = """\
schema: 1
model: {new: tiny}
memory: MEMORY
inputs: {text: synthetic:text}
stages:
  base: {method: pretrain, data: text}
  sft: {method: sft, init: base, data: text}
"""
OF_A_FOLDER = """\
schema: 1
model: {folder}/model
inputs: {{rows: {folder}/rows.jsonl}}
stages:
  sft: {{method: sft, data: rows}}
"""
EIGHT = {"hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 14336, "vocab_size": 128256}


def row(recipe, name):
    return next(r for r in forecast(recipe, Path("/nowhere/at/all")) if r.step.name == name)


def test_each_setting_that_is_offered_would_fit(tmp_path):
    path = page(tmp_path, PAGE.replace("MEMORY", "0.9"))
    sft = row(load(path), "sft")
    assert sft.memory > 0.9 * 2**30
    ways = fitting(load(path), sft.step, sft.memory, 0.9 * 2**30)
    assert len(ways) == 3
    for way in ways:
        changed = load(path, [way])
        assert row(changed, "sft").memory <= (changed.memory or 0) * 2**30, way


def test_memory_grows_with_what_needs_it(tmp_path):
    step = load(page(tmp_path, PAGE.replace("MEMORY", "null"))).steps["sft"]
    small, large = Network(192, 4, 512, 1024), Network(384, 6, 1024, 1024)
    assert memory_of(step, small) < memory_of(step, large)
    assert memory_of(step, small, {"micro_tokens": 512}) < memory_of(step, small) and memory_of(step, small, lora=True) < memory_of(
        step, small
    )
    assert small.parameters == 4 * (4 * 192**2 + 3 * 192 * 512) + 1024 * 192


def test_several_processes_share_weights_and_time_on_gpus(tmp_path, monkeypatch):
    monkeypatch.setattr("tutelage.recipes.forecast.network.chosen", lambda: "cuda")
    monkeypatch.setattr("tutelage.recipes.forecast.smaller.gpus", lambda: 8)
    folder_model(tmp_path)
    path = page(tmp_path, OF_A_FOLDER.format(folder=tmp_path))
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 9)
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "llama", **EIGHT}))
    (tmp_path / "model" / "tokenizer.json").unlink()
    one, eight = (forecast(load(path), tmp_path / "run", processes=n)[0] for n in (1, 8))
    weights = 16 * Network(4096, 32, 14336, 128256).parameters
    assert one.memory - eight.memory == pytest.approx(weights * 7 / 8) and (one.how, eight.how) == ("arithmetic", "arithmetic")
    assert "torchrun --standalone --nproc-per-node 8" in fitting(load(path), one.step, one.memory, 120 * 2**30)
    assert not any("torchrun" in way for way in fitting(load(path), one.step, one.memory, 120 * 2**30, processes=8))
    assert not any("torchrun" in way for way in fitting(load(path, ["stages.sft.machine.shard=never"]), one.step, one.memory, 2**30))


def test_a_whole_stage_costs_nothing_and_a_known_method_goes_at_its_own_pace(tmp_path):
    path = page(tmp_path, folder_model(tmp_path))
    run(load(path), tmp_path / "run")
    rows = {r.step.name: r for r in forecast(load(path, ["stages.last.steps=9"]), tmp_path / "run")}
    assert rows["ppo"] == Forecast(rows["ppo"].step, "", None, 0.0, None) and rows["last"].why == "steps 5 -> 9"
    assert Run.view(tmp_path / "run").current(), "a forecast changes nothing"


@pytest.mark.parametrize("size", ["nano", "tiny"])
def test_every_stage_of_the_built_in_recipe_is_sized(size):
    rows = forecast(load("instructgpt", [f"model.new={size}"]), Path("/nowhere/at/all"))
    assert len(rows) == 8
    for row in rows:
        assert row.tokens and row.seconds and row.memory, row.step.name


def test_a_method_costs_the_networks_that_it_holds():
    steps = load("instructgpt", ["model.new=nano", "stages.grpo={like: ppo_no_ptx, method: grpo}"]).steps
    network = Network(64, 2, 128, 1024)
    memory, work = ({name: of(step) for name, step in steps.items()} for of in (lambda step: memory_of(step, network), operations))
    assert memory["ppo"] > memory["grpo"] > memory["dpo"] == memory["sft"] and work["ppo"] > work["grpo"] > work["dpo"] > work["sft"]


def test_what_costs_more_is_said_to():
    def tokens(*overrides):
        rows = forecast(load("instructgpt", ["model.new=nano", *overrides]), Path("/nowhere/at/all"))
        return {row.step.name: row.tokens for row in rows}

    usual = tokens("stages.base.tokens=5000", "stages.sft.epochs=1", "stages.ppo.updates=6")
    assert usual["base"] == 5000 and usual["ppo"] > usual["ppo_no_ptx"]
    more = tokens("stages.preferences.overlap=2", "stages.sft.epochs=3", "stages.ppo.updates=12", "stages.evaluate.models=[sft,ppo]")
    assert more["preferences"] == usual["preferences"], "an answer is sampled once, whoever judges it"
    assert more["reward_model"] == 2 * usual["reward_model"] and more["dpo"] == 2 * usual["dpo"]
    assert more["sft"] == 3 * usual["sft"] and more["ppo"] == 2 * usual["ppo"]
    assert more["evaluate"] < usual["evaluate"] * 2 / 5, "two of five policies, and base, which never stops, is none of them"


def test_files_are_sized_by_their_rows_and_what_a_policy_says_by_what_it_learnt_from(tmp_path):
    (tmp_path / "shown.jsonl").write_text('{"prompt": "Hi?", "completion": "Good day."}\n' * 200)
    given = ["model.new=nano", f"inputs.demonstrations={tmp_path}/shown.jsonl", "stages.sft.epochs=20", "stages.sft.step_tokens=64"]
    few = load("instructgpt", [*given, "stages.sft.ptx=null"])
    # No tokenizer is there yet: three bytes a token, four marks around the prompt and an end; a twentieth is held out.
    row_tokens = 3 / 3 + 4 + 9 / 3 + 1
    assert row(few, "sft").tokens == pytest.approx(20 * 200 * 0.95 * row_tokens, rel=0.01)
    assert row(few, "preferences").tokens == 64 * 4 * 4, "answers are as long as those of the demonstrations"
    assert row(load("instructgpt", [*given, "stages.preferences.policy=base"]), "preferences").tokens == 64 * 4 * 64, "or max_tokens long"
    assert row(load("instructgpt", [*given, "stages.sft.steps=7", "stages.sft.ptx=null"]), "sft").tokens == 7 * 64


def test_people_are_counted_and_paid_as_their_page_says(tmp_path):
    asked = ["model.new=nano", "stages.preferences.by=people", "stages.preferences.overlap=3"]
    (said,) = (r.people for r in forecast(load("instructgpt", asked), Path("/nowhere/at/all")) if r.people)
    hours = 64 * 3 * 37 / 3600
    assert f"{64 * 3} labels x 37 s = {hours:.1f} hours x $15 = ${hours * 15:.0f} (a usual wage" in said
    page_ = tmp_path / "study.yaml"
    page_.write_text(
        "schema: 1\ntitle: T\npay_per_hour: 20\ncurrency: €\npeople: [{name: admin, role: admin}, {name: a}, {name: b}, {name: c}]\n"
    )
    rows = forecast(load("instructgpt", [*asked, f"stages.preferences.study={page_}"]), Path("/nowhere/at/all"))
    assert f"x €20 = €{hours * 20:.0f} ({page_}'s wage" in notes(rows)[0]
    report = load("instructgpt", ["model.new=nano", "stages.evaluate.by=people", "stages.evaluate.ask=10"])
    assert labels(report, report.steps["evaluate"]) == 2 * 10 * 4, "four policies beside the first, and two questions each"


def test_a_forecast_shows_ranges_and_how_it_was_made(tmp_path):
    step = load(page(tmp_path, PAGE.replace("MEMORY", "null"))).steps["sft"]
    shown = table([Forecast(step, "new", 1000, 100.0, 2**30, "rehearsed", 0.25), Forecast(step, "", None, 0.0, None)])
    cells = [list(column.cells) for column in shown.columns]
    assert cells[4] == ["1:20 to 2:05", "", "1:20 to 2:05"] and cells[5][0] == "0.91 to 1.10 GiB" and cells[7] == ["rehearsed", "", ""]


def test_only_what_differs_in_length_is_taken_from_an_earlier_run(tmp_path):
    path = page(tmp_path, folder_model(tmp_path))
    run(load(path), tmp_path / "run")
    longer, other = (
        next(r for r in forecast(load(path, [way]), tmp_path / "run") if r.step.name == "twin")
        for way in ("stages.twin.steps=60", "stages.twin.rate=9.0")
    )
    assert longer.how == "made here" and other.how == "arithmetic"
