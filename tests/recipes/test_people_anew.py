"""People compare models; what they said counts for the models they saw and the questions they read, and for no others."""

import json
from functools import partial
from pathlib import Path

import pytest

from tests.recipes.heard import Heard
from tests.recipes.judges import ANY, COMPARED, PAGE, Stopped, StopsAt, judge, meanwhile, prefer
from tests.recipes.pages import page
from tutelage.cli.plan import command as show_plan
from tutelage.feedback.store import Store
from tutelage.recipes.plan import forecast
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run


def test_people_compare_models_blind_and_the_report_says_who_judged(tmp_path: Path):
    heard = Heard()
    with meanwhile(heard, ("ann-01", "ann-02"), prefer):
        outcome = run(load(page(tmp_path, COMPARED)), tmp_path / "run", heard, door=ANY)
    told = json.loads((outcome.artifacts["eval"].path / "report.json").read_text())
    assert outcome.artifacts["eval"].results["annotators"] == {"ann-01": 8, "ann-02": 8}
    assert outcome.artifacts["eval"].results["study"] == Store(outcome.artifacts["eval"].path / "study.sqlite").id != ""
    found = {(name, stage): figures for name, stages in told["evals"].items() for stage, figures in stages.items()}
    first = Store(outcome.artifacts["eval"].path / "study.sqlite").read(task="pair")
    wins = [a.responses[a.answer["winner"]].by == "other" for a in first]
    assert len(wins) == 8 and found["preferred", "other"]["mean"] == pytest.approx(sum(wins) / 8)
    ratings = [found["quality", stage]["mean"] for stage in ("base", "other")]
    assert sum(ratings) == pytest.approx(7.0) and {row["name"] for row in told["people"]} == {"ann-01", "ann-02"}


TEAM = "schema: 1\ntitle: Ours\nstore: team.sqlite\npeople: [{name: kim}]\n"


def test_a_model_that_is_trained_anew_is_judged_anew(tmp_path: Path):
    """The team's store keeps what was said of the old one's answers; none of it is the new one's."""
    (tmp_path / "ours.yaml").write_text(TEAM)
    text = COMPARED.replace("by: people", f"by: people, study: {tmp_path / 'ours.yaml'}").replace("overlap: 2", "overlap: 1")
    counted = []
    for tokens in (12000, 16000):
        heard = Heard()
        with meanwhile(heard, ("kim",), prefer):
            outcome = run(load(page(tmp_path, text.replace("12000", str(tokens)))), tmp_path / "run", heard, door=ANY)
        assert any("waits for people: 0 of " in line for line in heard.notes), heard.notes
        counted.append(Store(tmp_path / "team.sqlite", create=False).count)
        told = json.loads((outcome.artifacts["eval"].path / "report.json").read_text())["evals"]["preferred"]["other"]
        assert told["n"] == 4
    assert counted[1] > counted[0]


def test_a_policy_that_is_trained_anew_is_judged_anew(tmp_path: Path):
    (tmp_path / "ours.yaml").write_text(TEAM + "questions: [{task: ranking}]\n")
    text = PAGE.replace("by: people", f"by: people, study: {tmp_path / 'ours.yaml'}").replace(", without: [ann-02]", "")
    for tokens in (8000, 9000):
        heard = Heard()
        with meanwhile(heard, ("kim",), judge):
            changed = text.replace("overlap: 2", "overlap: 1").replace("8000", str(tokens))
            outcome = run(load(page(tmp_path, changed)), tmp_path / "run", heard, door=ANY)
        assert outcome.artifacts["judged"].results["annotators"] == {"kim": 6}


ASKED = """\
schema: 1
title: Ours
questions: [{{task: ranking, ask: "{ask}", flags: [off_topic]}}]
guidelines: guide.md
overlap: {overlap}
people: [{{name: kim}}]
"""


def asks(folder: Path, ask: str = "Which helps more?", guide: str = "Prefer what is true.", overlap: int = 1, more: str = "") -> str:
    """A recipe whose stage asks by a page, both written anew."""
    (folder / "guide.md").write_text(guide)
    (folder / "ours.yaml").write_text(ASKED.format(ask=ask, overlap=overlap) + more)
    text = PAGE.partition("  reward:")[0].replace("overlap: 2", "overlap: 1").replace("count: 6", "count: 2")
    return page(folder, text.replace("by: people", f"by: people, study: {folder / 'ours.yaml'}"))


def planned(recipe: str, out: Path) -> dict[str, tuple[str, str]]:
    """{stage: (why it would run, what was edited since)}."""
    return {row.step.name: (row.why, row.remark) for row in forecast(load(recipe), out)}


def test_a_page_that_is_edited_after_people_answered_throws_nothing_away_silently(tmp_path: Path):
    out, heard = tmp_path / "run", Heard()
    with meanwhile(heard, ("kim",), judge):
        first = run(load(asks(tmp_path)), out, heard, door=ANY)
    assert (
        planned(asks(tmp_path), out) == dict.fromkeys(("base", "judged"), ("", ""))
        and first.artifacts["judged"].results["annotations"] == 2
    )

    # Who takes part, pay, keys: nothing of it is about what was said.
    assert planned(asks(tmp_path, more="pay_per_hour: 20\nlease_minutes: 3\nkeys: {undo: z}\n"), out)["judged"] == ("", "")

    # Advice and how many are asked: the work stays, and a line says what was edited.
    said = Heard()
    again = run(load(asks(tmp_path, guide="Prefer what is kind.", overlap=2)), out, said, door=ANY)
    assert again.ran == {} and again.artifacts == first.artifacts
    (line,) = (line for line in said.notes if "judged" in line)
    assert line.startswith("judged: guidelines and overlap of ") and "changed after people answered; their 2 answers stand." in line
    assert planned(asks(tmp_path, guide="Prefer what is kind."), out)["judged"] == ("", line.replace(" and overlap", ""))

    # Another question: asked anew; the old answers stay, and are found again.
    why, _ = planned(asks(tmp_path, ask="Which is kinder?"), out)["judged"]
    assert why == (
        "questions.ranking.ask Which helps more? -> Which is kinder?; what people answered before (2 answers) stays in "
        f"{first.artifacts['judged'].path.name}, and is used again when this is changed back"
    )
    heard = Heard()
    with meanwhile(heard, ("kim",), judge):
        other = run(load(asks(tmp_path, ask="Which is kinder?")), out, heard, door=ANY)
    assert set(other.ran) == {"judged"} and other.artifacts["judged"].hash != first.artifacts["judged"].hash
    assert other.artifacts["judged"].results["annotators"] == {"kim": 2}
    assert run(load(asks(tmp_path)), out, Heard(), door=ANY).artifacts == first.artifacts


def test_answers_to_a_question_that_is_edited_before_all_are_in_are_told_of(tmp_path: Path):
    out, heard = tmp_path / "run", Heard()
    with meanwhile(heard, ("kim",), partial(judge, answers=1)), pytest.raises(Stopped):
        run(load(asks(tmp_path)), out, StopsAt(heard, 1), door=ANY)
    heard = Heard()
    with meanwhile(heard, ("kim",), judge):
        run(load(asks(tmp_path, ask="Which is kinder?")), out, heard, door=ANY)
    (line,) = (line for line in heard.notes if "as it was before" in line)
    assert line.strip().startswith("1 answer to this stage as it was before wait in .building-judged-")


def test_a_comparison_says_that_its_guidelines_were_edited(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "guide.md").write_text("Prefer what is true.")
    (tmp_path / "ours.yaml").write_text("schema: 1\ntitle: Ours\nguidelines: guide.md\npeople: [{name: kim}]\n")
    text = COMPARED.replace("by: people", f"by: people, study: {tmp_path / 'ours.yaml'}").replace("overlap: 2", "overlap: 1")
    heard = Heard()
    with meanwhile(heard, ("kim",), prefer):
        run(load(page(tmp_path, text)), tmp_path / "run", heard, door=ANY)
    (tmp_path / "guide.md").write_text("Prefer what is kind.")
    why, remark = planned(page(tmp_path, text), tmp_path / "run")["eval"]
    assert why == "" and remark.startswith("eval: guidelines of ") and "their 8 answers stand" in remark
    show_plan(page(tmp_path, text), out=tmp_path / "run")
    assert remark in capsys.readouterr().err
