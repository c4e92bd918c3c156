import pytest

from tests.recipes.pages import HERE, PAGE, page
from tutelage.core.errors import UserError
from tutelage.recipes.recipe import builtin, load


def fault(path, *overrides):
    with pytest.raises(UserError) as caught:
        load(path, overrides)
    return str(caught.value)


def test_stages_come_in_an_order_in_which_they_can_run(tmp_path):
    lines = PAGE.splitlines()
    shuffled = "\n".join(lines[:4] + lines[:3:-1])
    names = list(load(page(tmp_path, shuffled)).steps)
    assert names.index("base") < names.index("sft") < names.index("people") < names.index("judge")
    assert names.index("twin") < names.index("last")


def test_the_order_of_the_page_is_kept_where_it_can_be(tmp_path):
    assert list(load(page(tmp_path)).steps) == ["base", "sft", "people", "judge", "ppo", "twin", "last"]


def test_like_takes_what_is_not_its_own_also_from_an_override(tmp_path):
    steps = load(page(tmp_path), ["stages.ppo.rate=0.5"]).steps
    assert steps["twin"].settings["rate"] == 0.5 and steps["twin"].settings["steps"] == 6 and steps["ppo"].settings["steps"] == 5


def test_a_fault_in_what_was_inherited_names_the_line_where_it_stands(tmp_path):
    assert "line 9: stages.ppo.rate" in fault(page(tmp_path, PAGE.replace("rate: 0.03", "rate: fast")))


def test_a_fault_in_what_is_its_own_names_its_own_line(tmp_path):
    assert "line 10: stages.twin.rate" in fault(page(tmp_path, PAGE.replace("{like: ppo, steps: 6}", "{like: ppo, rate: fast}")))


def test_like_in_a_circle(tmp_path):
    text = PAGE + "  x: {like: y}\n  y: {like: x}\n"
    assert "x -> y -> x is a circle" in fault(page(tmp_path, text))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("stages.ppo.init=sfd", "there is no stage or input 'sfd'; did you mean 'sft'?"),
        ("stages.ppo.raet=0.1", "unknown setting of tests.recipes.tiny_stages:Chain; did you mean 'rate'?"),
        ("stages.ppo.steps=0", "stages.ppo.steps"),
        ("stages.ppo.rate=fast", "stages.ppo.rate"),
        ("stages.ppo.method=pqo", "there is no method 'pqo'"),
        ("stages.ppo.method=tests.recipes.tiny_stages:Chian", "did you mean 'Chain'?"),
        ("stages.ppo.method=tests.nowhere:Chain", "there is no module tests.nowhere"),
        ("stages.ppo.method=pathlib:Path", "neither a stage"),
        ("stages.base.init=last", "made from itself: "),
        ("stages.judge.preferences=sft", "'sft' is a model, but preferences takes annotations"),
        ("stages.people.task=likert", "learns from ranking or pair, but 'people' asks for likert"),
        ("stages.ppo.word=c", "there is no word 'c'"),
        ("stages.text={}", "say what it does with method:"),
        ("inputs.text=nowhere.jsonl", "there is no file nowhere.jsonl"),
        ("inputs.text=synthetic:texts", "did you mean 'synthetic:text'?"),
        ("inputs.sft=synthetic:text", "'sft' is already an input"),
        ("model=./nowhere", "there is no folder ./nowhere"),
        ("model.new=huge", "model"),
        ("schema=2", "schema"),
        ("stages={}", "at least one stage"),
        ("seed=-1", "seed"),
    ],
)
def test_a_fault_is_named(tmp_path, override, said):
    assert said in fault(page(tmp_path), override)


def test_an_input_that_must_be_given(tmp_path):
    text = PAGE.replace('"tests.recipes.tiny_stages:Chain", init: twin', '"tests.recipes.tiny_stages:Chain", init: twin, more: [extra]')
    text = text.replace("text: synthetic:text", "text: synthetic:text, extra: null")
    assert "give it as inputs.extra=PATH" in fault(page(tmp_path, text))


def test_an_input_that_may_be_left_out(tmp_path):
    assert load(page(tmp_path), ["inputs.text=null"]).inputs == {}


def test_an_empty_input_file(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    assert "is empty" in fault(page(tmp_path), f"inputs.text={tmp_path}/empty.jsonl")


def test_the_built_in_recipes_are_found_by_name():
    assert set(builtin()) == {"instructgpt", "assistant", "calibrate"}
    assert "there is no recipe 'instructgtp'; did you mean 'instructgpt'?" in fault("instructgtp")


def test_an_objective_of_ones_own_shares_the_page_with_its_stage(tmp_path, monkeypatch):
    from tutelage.recipes import methods

    module = tmp_path / "outside.py"
    module.write_text(
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\n"
        "class Mine:\n"
        "    gamma: float = 1.0\n"
        "    def collate(self): ...\n"
        "    def loss(self): ...\n"
        "    def specimens(self): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(methods, "generic", lambda: methods.imported(f"{HERE}:Chain", ""))
    steps = load(page(tmp_path), ["stages.ppo={method: 'outside:Mine', init: sft, gamma: 2, rate: 0.2}"]).steps
    assert steps["ppo"].objective.gamma == 2.0 and steps["ppo"].settings["gamma"] == 2.0 and steps["ppo"].settings["rate"] == 0.2
    assert "did you mean 'gamma'?" in fault(page(tmp_path), "stages.ppo={method: 'outside:Mine', init: sft, gama: 2}")
