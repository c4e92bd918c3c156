"""Two stages of equal settings are two stages: each has its name wherever stages are named, though they have one address."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.recipes.pages import HERE, page
from tutelage.core.run import Run
from tutelage.evals import table
from tutelage.recipes.lineage import as_json, as_tree, origin
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import Outcome, run

PAGE = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}
stages:
  base:  {method: pretrain, data: text, tokens: 8000}
  once:  {method: pretrain, data: text, tokens: 12000}
  twice: {like: once}
  eval:  {method: evaluate, models: [base, once, twice], evals: [overall, perplexity], count: 6, sampling: {max_tokens: 8}}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("twins")
    return run(load(page(folder, PAGE)), folder / "run")


def test_both_are_in_the_report_the_page_and_the_table(made: Outcome) -> None:
    assert made.artifacts["once"].hash == made.artifacts["twice"].hash
    folder = made.artifacts["eval"].path
    told = json.loads((folder / "report.json").read_text())
    assert [stage["name"] for stage in told["stages"]] == ["base", "once", "twice"]
    for stages in told["evals"].values():
        assert set(stages) == {"base", "once", "twice"} and stages["once"] == stages["twice"]
    shown = (folder / "report.html").read_text()
    assert "once" in shown and "twice" in shown
    console = Console(width=160, record=True, file=io.StringIO())
    table.show(told, console)
    printed = console.export_text()
    assert "Once" in printed and "Twice" in printed


def test_their_difference_is_none(made: Outcome) -> None:
    told = json.loads((made.artifacts["eval"].path / "report.json").read_text())
    between = [c for c in told["comparisons"] if {c["a"], c["b"]} == {"once", "twice"}]
    assert between and all(abs(c["difference"]) < 1e-4 for c in between)


def test_a_run_keeps_both_and_finds_both_again(made: Outcome) -> None:
    assert set(made.artifacts) == {"base", "once", "twice", "eval"}
    again = run(load(str(made.path.parent / "small.yaml")), made.path)
    assert again.ran == {} and again.artifacts == made.artifacts


TWO = f"""\
schema: 1
model: {{new: nano}}
inputs: {{text: synthetic:text}}
stages:
  base:  {{method: "{HERE}:Chain", data: text}}
  these: {{method: "{HERE}:Label", policy: base}}
  those: {{like: these}}
  both:  {{method: "{HERE}:Chain", init: base, more: [these, those]}}
"""


def test_lineage_names_both(tmp_path: Path) -> None:
    run(load(page(tmp_path, TWO)), tmp_path / "run")
    found = origin(Run.view(tmp_path / "run"), "both")
    assert set(as_json(found)["stages"]) == {"base", "these", "those", "both"}
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(as_tree(found))
    shown = console.export_text()
    assert shown.count("annotated by 2 annotators") == 2 and "those" in shown and "these" in shown
