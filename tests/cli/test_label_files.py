"""`tutelage label import` and `export`, and an Argilla export straight into a reward model, through the real command line."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.batch import commands
from tests.feedback.foreign import samples
from tutelage.core.text import Response, ask
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store import Store
from tutelage.feedback.store.events import Event

ANIMALS = ("dog", "cat", "hen", "goat")


def argilla(count: int) -> list[dict[str, Any]]:
    """Two people rank three animals in each record: whoever is first in the alphabet, but `b` errs in every fifth."""
    records: list[dict[str, Any]] = []
    for n in range(count):
        shown = [ANIMALS[(n + k) % 4] for k in range(3)]
        order = [f"response-{k + 1}" for k in sorted(range(3), key=lambda k: shown[k])]
        said = [{"value": order, "user_id": "a"}, {"value": order[::-1] if n % 5 == 0 else order, "user_id": "b"}]
        fields = {"prompt": f"name {n} animal .", **{f"response-{k + 1}": text for k, text in enumerate(shown)}}
        note = [{"value": "hard to say", "user_id": "a", "status": "submitted"}]
        records.append({"id": str(n), "fields": fields, "metadata": {}, "suggestions": {}, "responses": {"preference": said, "note": note}})
    return records


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model folder with a few words."""
    from tutelage.models import create, tokenizer

    words = tokenizer.words(["name", "animal", ".", *ANIMALS], 64)
    folder = tmp_path_factory.mktemp("model") / "model"
    create.new("nano", words, seed=0).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def test_import_and_export(tmp_path: Path) -> None:
    (tmp_path / "argilla.json").write_text(json.dumps(samples.argilla()))
    first, brought, again, out, back, joined = commands(
        [
            ["label", "import", "argilla.json", "--dry-run"],
            ["label", "import", "argilla.json", "--store", "study.sqlite"],
            ["label", "import", "argilla.json", "--store", "study.sqlite"],
            ["label", "export", "study.sqlite", "--as", "preference", "--out", "pairs.jsonl", "--without", samples.BEN],
            ["label", "export", "study.sqlite", "--as", "argilla", "--out", "back.json"],
            [
                "label",
                "export",
                "study.sqlite",
                "--as",
                "preference",
                "--out",
                "j.jsonl",
                "--without",
                samples.BEN,
                "--aggregate",
                "dawid_skene",
            ],
        ],
        tmp_path,
    )
    assert first.code == 0, first.err
    assert (
        first.out.count(": A ") + first.out.count(": C ") + first.out.count("= A") >= 1 and "Nothing was written (--dry-run)." in first.out
    )
    assert "user: Name an animal." in first.out and first.out.count("user: ") == 3
    counted = "read as argilla; 3 rows, 5 annotations by 2 annotators (2 ranking, 2 pair, 1 score of helpful). Passed over: 1 answers with"
    assert counted in first.out
    assert "study.sqlite: 5 read, 5 added, 0 there already." in brought.out
    assert "study.sqlite: 5 read, 0 added, 5 there already." in again.out
    assert Store(tmp_path / "study.sqlite", create=False).count == 5
    assert {event.purpose for event in Store(tmp_path / "study.sqlite").events()} == {"import"}
    assert "pairs.jsonl: 2 rows of preference from 3 annotations (aggregate: none); 1 without a row" in out.out
    assert "(aggregate: dawid_skene); prompts with one person's word only: 2; 1 left out: nothing to join in score" in joined.out
    assert back.code == 0 and len(json.loads((tmp_path / "back.json").read_text())) == 2


def test_what_was_said_again_goes_in_and_out_and_is_counted(tmp_path: Path) -> None:
    row = {"instruction": "Sing", "output_1": "La", "output_2": "La la", "annotator": "ann", "preference": 2, "time_per_example": 1.5}
    rows = [row | {"generator_2": "sft"}, row | {"generator_2": "ppo"}, row | {"preference": 1}, row | {"annotator": "ben"}]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    brought, again, twice, own, pairs, lossy, joined, stats, measured = commands(
        [
            ["label", "import", "x.jsonl", "--store", "s.sqlite"],
            ["label", "import", "x.jsonl", "--store", "s.sqlite"],
            ["label", "export", "s.sqlite", "--out", "raw.jsonl"],
            ["label", "import", "raw.jsonl", "--store", "s.sqlite"],
            ["label", "export", "s.sqlite", "--as", "preference", "--out", "pairs.jsonl"],
            ["label", "export", "s.sqlite", "--as", "votes", "--out", "votes.jsonl"],
            ["label", "export", "s.sqlite", "--as", "votes", "--aggregate", "majority", "--out", "joined.jsonl"],
            ["label", "stats", "s.sqlite", "--json"],
            ["label", "stats", "x.jsonl", "--json"],
        ],
        tmp_path,
    )
    assert "4 annotations by 2 annotators (4 pair). Repeats among them: 1 (the same person said the same of the same again)." in brought.out
    assert "s.sqlite: 4 read, 4 added, 0 there already." in brought.out and "4 read, 0 added, 4 there already." in again.out
    assert "raw.jsonl: 4 rows of raw from 4 annotations" in twice.out and "4 read, 0 added, 4 there already." in own.out
    assert "pairs.jsonl: 3 rows of preference from 3 annotations (aggregate: none); repeats left out: 1." in pairs.out
    lost = "votes has no place for how long it took of 4; votes has no place for who wrote the responses of 2."
    assert f"votes.jsonl: 1 rows of votes from 4 annotations (aggregate: none); {lost}" in lossy.out
    assert joined.code == 2 and "a vote chooses one answer" in joined.err and not (tmp_path / "joined.jsonl").exists()
    for found in (stats, measured):
        assert json.loads(found.out)["consistency"]["mean"] == 0.5, "the same once, otherwise once"


def test_what_a_study_asked_again_leaves_in_raw_rows_alone(tmp_path: Path) -> None:
    """Of a different answer no tool can say that it was a repeat: it would come back as one to learn from."""
    first = Annotation(ask("Hi"), (Response("a"), Response("b")), "pair", {"winner": 0}, "ann")
    store = Store(tmp_path / "s.sqlite")
    store.record([Event("one", "annotation", "ann", annotation=first)])
    store.record([Event("two", "annotation", "ann", "repeat", annotation=replace(first, answer={"winner": 1}))])
    raw, tool, back, stats = commands(
        [
            ["label", "export", "s.sqlite", "--out", "raw.jsonl"],
            ["label", "export", "s.sqlite", "--as", "argilla", "--out", "a.json"],
            ["label", "import", "raw.jsonl", "--store", "new.sqlite"],
            ["label", "stats", "new.sqlite", "--json"],
        ],
        tmp_path,
    )
    assert "2 rows of raw from 2 annotations" in raw.out and "left out" not in raw.out
    assert "1 rows of argilla from 1 annotations (aggregate: none); repeats left out: 1." in tool.out
    assert "2 read, 2 added, 0 there already." in back.out and list(Store(tmp_path / "new.sqlite").read()) == [first]
    assert json.loads(stats.out)["consistency"]["mean"] == 0


def test_a_broken_row_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    records = samples.argilla()
    (tmp_path / "good.json").write_text(json.dumps(records[:1]))
    (tmp_path / "cut.json").write_text(json.dumps(records)[:-30])
    records[1]["responses"]["preference"][0]["value"] = "response_c"
    (tmp_path / "bad.json").write_text(json.dumps(records))
    lines = [["label", "import", name, "--store", "s.sqlite"] for name in ("bad.json", "cut.json", "good.json", "bad.json", "none.json")]
    bad, cut, good, after, none = commands([*lines], tmp_path)
    assert bad.code == 2 and "bad.json:2: field 'preference': this question was answered 'response_c'" in bad.err
    assert cut.code == 2 and "cut.json:" in cut.err and "broken JSON" in cut.err and none.code == 2 and "no such file" in none.err
    assert good.code == 0 and after.code == 2 and Store(tmp_path / "s.sqlite", create=False).count == 3
    wrong = commands(
        [
            ["label", "import", "good.json"],
            ["label", "import", "good.json", "--store", "s.sqlite", "--format", "argila"],
            ["label", "export", "nowhere.sqlite", "--out", "x.jsonl"],
            ["label", "export", "s.sqlite", "--out", "x.jsonl", "--without", "nobody"],
            ["label", "export", "s.sqlite", "--out", "x.jsonl", "--as", "hh"],
        ],
        tmp_path,
    )
    for answer, message in zip(
        wrong,
        ["--store: name the store", "did you mean 'argilla'", "no such store", "nobody named 'nobody' annotated", "can't hold the task"],
    ):
        assert answer.code == 2 and message in answer.err and "Traceback" not in answer.err
    assert not (tmp_path / "x.jsonl").exists()


def test_nothing_of_a_response_reaches_the_terminal(tmp_path: Path) -> None:
    record = samples.argilla()[0]
    record["fields"]["response-2"] = "\x1b[2J\u202e[red]evil\x07"
    (tmp_path / "x.json").write_text(json.dumps([record]))
    (shown,) = commands([["label", "import", "x.json", "--dry-run"]], tmp_path)
    assert "[red]evil" in shown.out and not set(shown.out) & {"\x1b", "\u202e", "\x07"}


def test_from_an_argilla_export_to_a_reward_model(model: Path, tmp_path: Path) -> None:
    """docs/from-argilla.md, followed to the letter: its commands, on an export of two people."""
    page = (Path(__file__).parents[2] / "docs" / "from-argilla.md").read_text()
    (tmp_path / "argilla.json").write_text(json.dumps(argilla(40)))
    (tmp_path / "MODEL").symlink_to(model)
    recipe = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert recipe
    (tmp_path / "page.yaml").write_text(recipe[1])
    lines = [shlex.split(line, comments=True)[1:] for line in page.splitlines() if line.startswith("tutelage ")]
    assert len(lines) >= 5 and ["reward", "MODEL", "argilla.json"] in lines
    done = commands(lines, tmp_path)
    for line, answer in zip(lines, done, strict=True):
        assert answer.code == 0, (line, answer.err)
    said = {" ".join(line[:2]): answer.out for line, answer in zip(lines, done)}
    assert "80 annotations by 2 annotators (80 ranking). Passed over: 40 remarks in 'note'" in said["label import"]
    assert list(tmp_path.glob("runs/reward/artifacts/reward-*/model/score.json"))
    (chat,) = commands([["chat", "runs/reward", "reward", "--say", "name"]], tmp_path)
    assert chat.code == 2 and "it scores what others write" in chat.err
    assert not any("tutelage chat" in answer.out for answer in done)
    (measured,) = tmp_path.glob("runs/page/artifacts/evaluate-*/report.json")
    accuracy = json.loads(measured.read_text())["evals"]["reward_accuracy"]["reward_model"]
    assert 0 <= accuracy["mean"] <= 1 and accuracy["low"] <= accuracy["mean"] <= accuracy["high"] and accuracy["n"] >= 6
    (artifact,) = tmp_path.glob("runs/without/artifacts/reward_model-*/artifact.json")
    assert set(json.loads(artifact.read_text())["results"]["consumed"]) == {"a"}
