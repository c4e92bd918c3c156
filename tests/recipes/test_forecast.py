"""Rehearsals: what is shortened and what stays, that they are measured once, and that a line through two sizes gives the whole."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import pytest

from tests.recipes.pages import folder_model, page
from tutelage.core.artifact import Artifact
from tutelage.models import create, tokenizer, weights
from tutelage.models.kernels import build
from tutelage.recipes.forecast import joining, network, rehearsal
from tutelage.recipes.forecast.joining import Measured
from tutelage.recipes.forecast.miniature import STEPS, UPDATES, miniature
from tutelage.recipes.forecast.network import Network
from tutelage.recipes.forecast.rehearsal import Clock, Rehearsed, read
from tutelage.recipes.forecast.standin import stand_in
from tutelage.recipes.plan import forecast
from tutelage.recipes.recipe import context_of, load
from tutelage.recipes.sizes import size_of
from tutelage.recipes.sources import Input, Model, New

NANO = ["model.new=nano"]
PAGE_OF_SFT = """
schema: 1
model: {model}
inputs: {{data: {data}}}
stages:
  sft: {{method: sft, data: data, max_length: 50, too_long: leave_out}}
"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tutelage" / "rehearsed"


def test_a_miniature_is_short_and_otherwise_the_same() -> None:
    recipe = load("instructgpt", NANO)
    short = miniature(recipe, recipe.model, frozenset(recipe.steps))
    assert list(short.steps) == list(recipe.steps)
    ppo, small = recipe.steps["ppo"].settings, short.steps["ppo"].settings
    differing = {name for name, value in small.items() if value != ppo[name]}
    assert differing == {"updates", "max_tokens", "probe_prompts"} and small["updates"] == UPDATES
    shown = size_of(recipe.inputs["demonstrations"], "demonstrations", recipe.model)
    assert small["max_tokens"] == round(shown.response) < 64, "answers are as long as those that were shown"
    assert short.steps["dpo"].settings["steps"] == STEPS and short.steps["evaluate"].settings["models"] == ["sft", "ppo", "reward_model"]


def test_a_miniature_makes_only_what_is_wanted_and_what_it_is_made_from() -> None:
    recipe = load("instructgpt", NANO)
    assert list(miniature(recipe, recipe.model, frozenset({"dpo"})).steps) == ["base", "sft", "preferences", "dpo"]


def test_people_and_rules_are_not_asked_in_a_miniature(tmp_path: Path, kept: Path) -> None:
    changes = [*NANO, "stages.preferences.by=people", "stages.ppo.reward_model=tests.recipes.tiny_stages:refuse"]
    recipe = load("instructgpt", [*changes[:2]])
    short = miniature(recipe, recipe.model, frozenset({"reward_model"}))
    found = rehearsal.rehearse(recipe, frozenset({"reward_model"}), joining_decisions(), 0, lambda line: None)
    assert type(short.steps["preferences"].stage).__name__ == "Unasked" and isinstance(found["reward_model"], Rehearsed)


def test_a_judge_by_url_is_not_asked_in_a_miniature(kept: Path) -> None:
    """Nobody listens at the address: a question would end the rehearsal."""
    judge = "judge={url: 'http://127.0.0.1:9/v1', model: any, tries: 1}"
    asks = [f"stages.{stage}.{change}" for stage in ("preferences", "evaluate") for change in ("by=judge", judge)]
    recipe = load("instructgpt", [*NANO, *asks])
    short = miniature(recipe, recipe.model, frozenset({"reward_model", "evaluate"}))
    assert short.steps["preferences"].stage.judge is None and short.steps["evaluate"].stage.judge is None  # type: ignore[attr-defined]
    assert short.steps["preferences"].stage.judged_rows(context_of(short, short.steps["preferences"], str)) % 2 == 0  # type: ignore[attr-defined]
    found = rehearsal.rehearse(recipe, frozenset({"reward_model"}), joining_decisions(), 0, lambda line: None)
    assert isinstance(found["reward_model"], Rehearsed)


def joining_decisions():
    from tutelage.recipes.decisions import decide

    return decide()


def test_what_was_measured_is_kept_and_not_measured_again(tmp_path: Path, kept: Path) -> None:
    said: list[str] = []
    recipe = load("instructgpt", NANO)
    first = forecast(recipe, tmp_path / "run", rehearsing=True, say=said.append)
    assert {row.how for row in first} == {"rehearsed"} and not (tmp_path / "run").exists()
    assert all(row.seconds and row.memory and row.spread for row in first)
    again = forecast(recipe, tmp_path / "run", rehearsing=True, say=said.append)
    assert [row.seconds for row in again] == [row.seconds for row in first] and len(said) == 1 and "8 stages" in said[0]
    for path in kept.glob("*.json"):  # as if every stage had taken 2 s and a millisecond a token
        path.write_text(json.dumps(asdict(Rehearsed(0.0, 0.0, 0.0, (1e-3,), 0.0, 2.0, 100, 2.1, 2**30))))
    updates = [load("instructgpt", [*NANO, f"stages.ppo.updates={count}"]) for count in (10, 200)]
    few, many = ({row.step.name: row for row in forecast(each, tmp_path / "run", rehearsing=True, say=said.append)} for each in updates)
    assert len(said) == 1 and few["sft"].seconds == many["sft"].seconds == pytest.approx(2 + 1e-3 * few["sft"].tokens)
    assert many["ppo"].tokens == pytest.approx(20 * few["ppo"].tokens, rel=0.01)
    assert many["ppo"].seconds - few["ppo"].seconds == pytest.approx(1e-3 * (many["ppo"].tokens - few["ppo"].tokens))


def test_a_clock_tells_preparation_from_steps_from_saving() -> None:
    clock = Clock([("stage", 2.0, 0), ("tick", 3.0, 0), ("stage", 3.5, 0), ("tick", 5.5, 10), ("tick", 6.5, 10), ("tick", 7.7, 10)])
    made = Artifact(stage="s", hash="0" * 64, method="dpo", settings={}, parents={}, cost={"peak_rss": 5})  # type: ignore[call-arg]
    found = read(clock, 1.0, 9.0, 0.25, made, 0)
    assert (found.load, found.before, found.passes, found.after, found.tokens) == (0.25, 1.0, 1.5, pytest.approx(1.3), 30)
    assert found.steps == pytest.approx((0.1, 0.12)), "the first step, which is slower, isn't timed"


def test_of_reinforcement_learning_the_last_round_is_timed_and_its_sampling_told_apart() -> None:
    times = [("stage", 0.0, 0), ("tick", 9.0, 50), ("tick", 10.0, 50), ("tick", 13.0, 50), ("tick", 14.0, 50)]
    made = Artifact(stage="s", hash="0" * 64, method="ppo", settings={"rollouts": {}}, parents={}, cost={"peak_rss": 5})  # type: ignore[call-arg]
    found = read(Clock(times), 0.0, 15.0, 0.0, made, 7)
    assert found.steps == (4.0 / 100,) and found.collect == 2.0 and found.peak == 7, "the first round warms everything up"


def test_layers_are_a_line_through_one_and_two() -> None:
    whole = joining._extended([Measured(3.0, 10e9, 0.1), Measured(5.0, 11e9, 0.1)], 32, 0.0)
    assert whole.seconds == 3 + 31 * 2 and whole.memory == pytest.approx(joining.GROWS * (10e9 + 31e9))


def test_a_model_without_weights_is_tried_by_a_stand_in_of_its_width(tmp_path: Path, kept: Path) -> None:
    folder = tmp_path / "model"
    words = tokenizer.words(["a", "b", "c"], 64)
    weights.save(create.new(create.Dimensions(width=64, layers=5, heads=2), words, 0), words, folder)
    made = stand_in(Model(path=folder), 2, tmp_path / "stand-in")
    assert made.path is not None
    config = json.loads((made.path / "config.json").read_text())
    assert config["num_hidden_layers"] == 2 and config["hidden_size"] == 64
    (folder / "model.safetensors").unlink()
    network = Network(64, 5, 192, 64)
    text = "schema: 1\nmodel: {}\ninputs: {{d: {}}}\nstages:\n  sft: {{method: sft, data: d}}\n"
    (tmp_path / "d.jsonl").write_text('{"prompt": "a b", "completion": "c"}\n' * 60)
    recipe = load(page(tmp_path, text.format(folder, tmp_path / "d.jsonl")))
    assert joining._layers(recipe, network) == (5,) and joining._layers(recipe, Network(4096, 32, 14336, 128256)) == (1, 2)
    (row,) = forecast(recipe, tmp_path / "run", rehearsing=True)
    assert row.how == "rehearsed", row.note


def test_what_cannot_be_tried_says_so_and_is_forecast_by_arithmetic(tmp_path: Path) -> None:
    recipe = load("instructgpt", NANO)
    why = joining._too_much(
        miniature(recipe, recipe.model, frozenset(recipe.steps)), Network(16384, 126, 53248, 128256), joining_decisions(), 2
    )
    assert "2 layers of this model would need" in why
    rows = forecast(load(page(tmp_path, folder_model(tmp_path))), tmp_path / "run", rehearsing=True)
    assert {row.how for row in rows} == {"arithmetic"}, "stages of others have no shorter form that is known"


def test_where_nothing_can_be_kept_it_is_measured_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    recipe = load("instructgpt", [*NANO, "stages={base: {method: pretrain, data: text}}"])
    assert [row.how for row in forecast(recipe, tmp_path / "run", rehearsing=True)] == ["rehearsed"]


def test_rows_are_counted_and_lengths_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps({"text": "x" * (30 if n % 2 else 60)}) + "\n" for n in range(5000)))
    size = size_of(Input("t", str(path)), "documents", Model(new=New("nano")))
    assert (size.rows, size.counted) == (5000, False) and 10 <= size.response <= 20
    assert Input("t", str(path)).hash != Input("t", str(path), most=10).hash


def demonstrations(path: Path, lengths: Sequence[tuple[int, int]]) -> Input:
    """Of so many words each, a token a word."""
    rows = [{"prompt": " ".join(["tea"] * p), "completion": " ".join(["tea"] * r)} for p, r in lengths]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Input("d", str(path))


def with_context(folder: Path, context: int) -> Model:
    words = tokenizer.words(["tea"], 64)
    weights.save(create.new(create.SIZES["nano"], words, 0), words, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": context}))
    return Model(path=folder)


def test_what_a_context_cuts_or_leaves_out_is_not_counted(tmp_path: Path) -> None:
    """Prompts of 6 words and 4 marks: rows of 30 fit, those of 300 are cut at 100 or 50, and a prompt of 200 words leaves no room."""
    model = with_context(tmp_path / "model", 100)
    source = demonstrations(tmp_path / "d.jsonl", [(6, 30), (6, 300), (200, 30), (6, 30)])
    asked = size_of(source, "demonstrations", model).prompt
    assert 6 < asked < 16
    for longest, room in ((None, 100), (50, 50)):
        size = size_of(source, "demonstrations", model, longest)
        assert size.rows == 3 and size.tokens == 2 * (asked + 31) + room
    recipe = load(page(tmp_path, PAGE_OF_SFT.format(model=model.path, data=source.given)))
    step = recipe.steps["sft"]
    assert context_of(recipe, step, str).size("data", "demonstrations").tokens == 2 * (asked + 31) + 50, "the stage's own max_length"


def test_rows_are_looked_at_until_their_mean_is_known(tmp_path: Path) -> None:
    """One row in forty is a hundred times as long: 400 rows tell the mean to a quarter, all 4,000 to 8 %, or exactly where that is all."""
    lengths = [(1, 2000 if n % 41 == 7 else 20) for n in range(4000)]
    size = size_of(demonstrations(tmp_path / "d.jsonl", lengths), "demonstrations", with_context(tmp_path / "model", 4096))
    assert size.response == pytest.approx(sum(r + 1 for _, r in lengths) / 4000)
    even = size_of(demonstrations(tmp_path / "e.jsonl", [(1, 20)] * 4000), "demonstrations", with_context(tmp_path / "model", 4096))
    assert even.response == 21


@pytest.mark.parametrize(
    ("dtype", "unit", "device", "share"),
    [
        ("bfloat16", "AMX", "cpu", 0.1),
        ("bfloat16", "AVX-512", "cpu", 0.3),
        ("float32", "AMX", "cpu", 0.3),
        ("bfloat16", "AVX-512", "cuda", 0.1),
    ],
)
def test_small_models_reach_less_of_units_made_for_large_matrices(
    monkeypatch: pytest.MonkeyPatch, dtype: Literal["bfloat16", "float32"], unit: str, device: str, share: float
) -> None:
    monkeypatch.setattr(build, "units", lambda: unit)
    monkeypatch.setattr(network, "operations_per_second", lambda chosen: 1e9)  # pyright: ignore[reportUnknownLambdaType]
    assert network.training_speed(replace(joining_decisions(), dtype=dtype, device=device)) == share * 1e9
