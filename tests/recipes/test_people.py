"""A run that waits for people: they judge through the site while it waits, and what they said is learnt from under their names."""

import _thread
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.feedback import writer
from tests.recipes.pages import page
from tutelage.cli.plan import command as show_plan
from tutelage.core.errors import UserError
from tutelage.core.progress import Silent
from tutelage.core.run import Run
from tutelage.feedback.consumers import consumers
from tutelage.feedback.site.address import Address
from tutelage.feedback.store import Store
from tutelage.feedback.study.desk import Desk
from tutelage.recipes import lineage, people
from tutelage.recipes.door import Door
from tutelage.recipes.plan import forecast
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run

PAGE = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}
stages:
  base:   {method: pretrain, data: text, tokens: 8000}
  judged: {method: label, policy: base, prompts: prompts, count: 6, responses: 3, overlap: 2, by: people, sampling: {max_tokens: 8}}
  reward: {method: reward, init: base, preferences: {from: judged, without: [ann-02]}}
"""
ANY = Door(Address(port=0))


class Heard(Silent):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)

    def links(self) -> dict[str, str]:
        return {name: link for line in self.said for name, link in re.findall(r"^  (\S+)  (http\S+)", line)}


def judge(link: str, answers: int = 100) -> int:
    """A person without JavaScript: opens the link, ranks by typing, until nothing is left or `answers` are given; how many were."""
    with httpx.Client(follow_redirects=True, base_url=link.partition("/join/")[0]) as browser:
        shown = sent(browser, link, browser.get(link).text)
        for done in range(answers):
            if 'name="ranking.order"' not in shown:
                return done
            shown = sent(browser, "/submit", shown, {"ranking.order": "2 1 = 3"})
    return answers


def sent(browser: httpx.Client, to: str, shown: str, more: dict[str, str] | None = None) -> str:
    """The page after a form was posted with what it holds and `more`."""
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', shown))
    answer = browser.post(to, data={**hidden, **(more or {})})
    assert answer.status_code < 400, answer.text[:2000]
    return answer.text


@contextmanager
def meanwhile(heard: Heard, names: Iterable[str], each: Callable[[str], object]) -> Iterator[None]:
    """Each of these people, one after the other, does `each` with the link that the run told. Where one fails, the run is stopped."""
    failed: list[BaseException] = []

    def all_of_them() -> None:
        try:
            for name in names:
                while name not in heard.links():
                    time.sleep(0.05)
                each(heard.links()[name])
        except BaseException as error:
            failed.append(error)
            _thread.interrupt_main()

    thread = threading.Thread(target=all_of_them, daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        raise failed[0] from None
    thread.join(60)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    heard, folder = Heard(), tmp_path_factory.mktemp("people")
    with meanwhile(heard, ("ann-01", "ann-02"), judge):
        return folder, heard, run(load(page(folder, PAGE)), folder / "run", heard, door=ANY)


def test_the_run_goes_on_when_everything_is_judged(made):
    _, heard, outcome = made
    told = outcome.artifacts["judged"].results
    assert told["annotators"] == {"ann-01": 6, "ann-02": 6} and told["annotations"] == 12
    assert any("0 of 12 answers are there" in line for line in heard.said) and set(heard.links()) == {"admin", "ann-01", "ann-02"}


def test_what_people_said_keeps_the_sampled_tokens_and_the_order_they_saw(made):
    store = Store(made[2].artifacts["judged"].path / "annotations.sqlite")
    for annotation in store.read():
        assert all(r.ids is not None and r.by == made[2].artifacts["base"].hash for r in annotation.responses)
        second, *tied = (annotation.shown[place] for place in (1, 0, 2))
        assert annotation.answer == {"tiers": [[second], sorted(tied)]} and annotation.seconds >= 0 and annotation.at


def test_lineage_names_people_by_pseudonym_and_a_consumer_may_leave_one_out(made):
    found = lineage.people(lineage.origin(Run.view(made[2].path), "reward"))
    assert found == {"ann-01": 6}
    assert set(made[2].artifacts["judged"].results["annotators"]) == {"ann-01", "ann-02"}


def test_manifests_say_which_study_knows_the_people(made):
    judged, reward = (made[2].artifacts[name] for name in ("judged", "reward"))
    study = Store(judged.path / "study.sqlite").id
    assert len(study) == 16 and judged.results["study"] == reward.results["study"] == study
    assert Store(judged.path / "annotations.sqlite").id == study  # where another run takes it for an input
    assert [(c.stage, c.sure) for c in consumers([made[2].path], "ann-01", study)] == [("judged", True), ("reward", True)]
    assert [c.stage for c in consumers([made[2].path], "ann-02", study)] == ["judged"]
    assert consumers([made[2].path], "ann-01", "another") == []


def test_the_secret_of_the_links_does_not_stay_in_the_artifact(made):
    folder = made[2].artifacts["judged"].path
    assert (folder / "study.yaml").exists() and not list(folder.rglob("*.secret"))


def test_a_page_brings_guidelines_and_people_and_enough_is_a_share(tmp_path: Path):
    (tmp_path / "guide.md").write_text("Prefer what is **true**.")
    (tmp_path / "study.yaml").write_text(
        "schema: 1\ntitle: Ours\nquestions: [{task: ranking}, {task: likert, name: quality}]\nguidelines: guide.md\npeople: [{name: kim}]\n"
    )
    heard, text = (
        Heard(),
        PAGE.replace("by: people", f"by: people, study: {tmp_path}/study.yaml, enough: 0.5").replace(", without: [ann-02]", ""),
    )

    def both(link: str) -> None:
        with httpx.Client(follow_redirects=True, base_url=link.partition("/join/")[0]) as browser:
            shown = sent(browser, link, browser.get(link).text)
            assert "Prefer what is <strong>true</strong>" in shown
            for _ in range(6):
                shown = sent(browser, "/submit", shown, {"ranking.order": "1 2 3", **{f"quality.value-{n}": "4" for n in range(3)}})

    with meanwhile(heard, ("kim",), both):
        outcome = run(load(page(tmp_path, text)), tmp_path / "run", heard, door=ANY)
    store = Store(outcome.artifacts["judged"].path / "annotations.sqlite")
    assert outcome.artifacts["judged"].results["annotators"] == {"kim": 6}  # the stage's own task; the rest stays in the study's store
    assert {a.task for a in store.read()} == {"ranking"} and all(a.guideline for a in store.read())


def test_accept_goes_on_with_what_is_there_and_says_when_there_is_nothing(tmp_path: Path):
    recipe = load(page(tmp_path, PAGE.replace(", without: [ann-02]", "")))
    with pytest.raises(UserError, match="stage judged: nobody has answered anything yet"):
        run(recipe, tmp_path / "run", Heard(), door=replace(ANY, accept=True))
    heard = Heard()
    with meanwhile(heard, ("ann-01",), partial(judge, answers=2)), pytest.raises(Stopped):
        run(recipe, tmp_path / "run", StopsAt(heard, 2), door=ANY)
    outcome = run(recipe, tmp_path / "run", Heard(), door=replace(ANY, accept=True))
    assert outcome.artifacts["judged"].results["annotators"] == {"ann-01": 2}
    assert outcome.artifacts["reward"].results["annotations"] == 2


COMPARED = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}
stages:
  base:  {method: pretrain, data: text, tokens: 8000}
  other: {like: base, tokens: 12000}
  eval:  {method: evaluate, models: [base, other], by: people, ask: 4, overlap: 2, count: 6, sampling: {max_tokens: 8}}
"""


def prefer(link: str) -> None:
    """Somebody who likes the longer answer, wherever it stands, and finds everything middling."""
    with httpx.Client(follow_redirects=True, base_url=link.partition("/join/")[0]) as browser:
        shown = sent(browser, link, browser.get(link).text)
        while 'name="better.' in shown:
            assert "base" not in shown.partition('<section class="answers"')[2]  # blind
            fields = {"better.winner": "a", "quality.value-0": "4", "quality.value-1": "3"}
            shown = sent(browser, "/submit", shown, fields)


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


class Stopped(Exception):
    """Where a hand would press Ctrl-C."""


class StopsAt(Silent):
    """Tells somebody else what is noted, and stops when so many answers are in."""

    def __init__(self, heard: Heard, answers: int) -> None:
        self.heard, self.answers, self.asking = heard, answers, False

    def note(self, text: str) -> None:
        self.heard.note(text)

    def stage(self, name: str, total_steps: int) -> None:
        self.asking = name.endswith(": people")

    def tick(self, step: int, tokens: int, **figures: float) -> None:
        if self.asking and step >= self.answers:
            raise Stopped


@pytest.mark.parametrize(
    "change, said",
    [
        ("by: people, study: nowhere.yaml", "nowhere.yaml: no such file"),
        ("study: study.yaml", "study: is about people; set by: people"),
        ("by: people, enough: 0.0", "enough"),
    ],
)
def test_a_fault_is_said_before_anything_runs(tmp_path: Path, change: str, said: str):
    with pytest.raises(UserError, match=said):
        load(page(tmp_path, PAGE.replace("by: people", change)))


def test_an_address_that_is_taken_is_said(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        door = Door(Address(port=taken.getsockname()[1]))
        with pytest.raises(UserError, match=r"cannot be listened on .* --port"):
            run(load(page(tmp_path, PAGE)), tmp_path / "run", Silent(), door=door)


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
        assert any("waits for people: 0 of " in line for line in heard.said), heard.said
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


@pytest.mark.parametrize("fault", ["overlpa: 2", "guidelines: nowhere.md", "people: [{name: ''}]"])
def test_a_fault_in_the_page_is_told_before_anything_runs(tmp_path: Path, fault: str):
    (tmp_path / "ours.yaml").write_text(f"schema: 1\ntitle: Ours\n{fault}\n")
    for text in (PAGE, COMPARED):
        with pytest.raises(UserError, match=r"ours.yaml|nowhere.md"):
            load(page(tmp_path, text.replace("by: people", f"by: people, study: {tmp_path / 'ours.yaml'}")))


@pytest.mark.parametrize("given", [False, True])
def test_a_stage_goes_on_without_who_was_erased(tmp_path: Path, given: bool):
    (tmp_path / "items.jsonl").write_text('{"prompt": "q", "responses": ["a", "b"]}\n')
    (tmp_path / "page.yaml").write_text("schema: 1\noverlap: 2\n")
    own = {"title": "T", "questions": [{"task": "pair"}], "people": people.enough_for(2)}
    page = tmp_path / "page.yaml" if given else None
    made = people.study_of(tmp_path, page, own)
    assert [member.name for member in made.people] == ["admin", "ann-01", "ann-02"]
    store = Store(made.store)
    store.append([writer.annotation(0, annotator="ann-01")])
    store.erase("ann-01")
    again = people.study_of(tmp_path, page, own)
    assert [member.name for member in again.people] == ["admin", "ann-02"]
    Desk(again, store).load()


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
    (line,) = (line for line in said.said if "judged" in line)
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
    (line,) = (line for line in heard.said if "as it was before" in line)
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
