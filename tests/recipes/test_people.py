"""A run that waits for people: they judge through the site while it waits, and what they said is learnt from under their names."""

import socket
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.feedback import writer
from tests.recipes.heard import Heard
from tests.recipes.judges import ANY, COMPARED, PAGE, Stopped, StopsAt, judge, meanwhile, sent
from tests.recipes.pages import page
from tutelage.core.errors import UserError
from tutelage.core.progress import Silent
from tutelage.core.run import Run
from tutelage.feedback.consumers import consumers
from tutelage.feedback.site.address import Address
from tutelage.feedback.store import Store
from tutelage.feedback.study.desk import Desk
from tutelage.recipes import lineage, people
from tutelage.recipes.door import Door
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    heard, folder = Heard(), tmp_path_factory.mktemp("people")
    with meanwhile(heard, ("ann-01", "ann-02"), judge):
        return folder, heard, run(load(page(folder, PAGE)), folder / "run", heard, door=ANY)


def test_the_run_goes_on_when_everything_is_judged(made):
    _, heard, outcome = made
    told = outcome.artifacts["judged"].results
    assert told["annotators"] == {"ann-01": 6, "ann-02": 6} and told["annotations"] == 12
    assert any("0 of 12 answers are there" in line for line in heard.notes) and set(heard.links()) == {"admin", "ann-01", "ann-02"}


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
