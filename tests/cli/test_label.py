"""`tutelage label stats`, `power` and `simulate` through the real command line."""

import csv
import json

import pytest

from tests.cli.batch import command, commands
from tests.feedback.crowd import rankings
from tutelage.feedback.annotation import to_plain
from tutelage.feedback.store import Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the same rankings as a store, as an artifact and as a file of rows."""
    folder = tmp_path_factory.mktemp("label")
    given = rankings(0, prompts=40, people=("ann-01", "ann-02", "ann-03"), tie=0.1)
    Store(folder / "study.sqlite").append(given)
    Store(folder / "artifact" / "annotations.sqlite").append(given)
    (folder / "raw.jsonl").write_text("".join(json.dumps(to_plain(a)) + "\n" for a in given))
    (folder / "broken.jsonl").write_text(json.dumps(to_plain(given[0])) + '\n{"prompt": []}\n')
    (folder / "wrong.jsonl").write_text(json.dumps({**to_plain(given[0]), "answer": {"tiers": [[0]]}}) + "\n")
    (folder / "nothing").mkdir()
    return folder


def test_stats_of_a_store_an_artifact_and_a_file_are_the_same(folder):
    store, artifact, raw = commands([["label", "stats", place] for place in ("study.sqlite", "artifact", "raw.jsonl")], folder)
    assert store.code == 0, store.err
    assert store.out == artifact.out == raw.out
    first, rest = store.out.split("\n", 1)
    assert first.startswith("120 labels; agreement 0.") and "cap the reward model near" in first
    for said in ("order: 720 votes on 240 items of 40 prompts", "Krippendorff's alpha", "shown first wins", "ann-02", "0.3"):
        assert said in rest


def test_stats_for_programs_and_spreadsheets(folder):
    done = command("label", "stats", "study.sqlite", "--json", "--csv", "tables", "--of", "600", "--pay", "30", folder=folder)
    assert done.code == 0, done.err
    plain = json.loads(done.out)
    assert plain["first_line"].startswith("120 of 600 done, $30;") and plain["questions"][0]["agreement"]["clusters"] == 40
    with open(folder / "tables" / "hours.csv") as file:
        hours = list(csv.DictReader(file))
    assert [row["person"] for row in hours] == ["ann-01", "ann-02", "ann-03"] and float(hours[0]["pay"]) == 10.0
    assert (folder / "tables" / "reliability.csv").read_text().count("\n") == 4


def test_power_and_simulate(folder):
    pairs, ranked, plain, rehearsed, figures = commands(
        [
            ["label", "power"],
            ["label", "power", "--responses", "4"],
            ["label", "power", "--of", "win_rate", "--json"],
            ["label", "simulate", "--items", "300", "--repeats", "3", "--gold-rate", "0.1"],
            ["label", "simulate", "--items", "300", "--repeats", "3", "--json"],
        ],
        folder,
    )
    assert [a.code for a in (pairs, ranked, plain, rehearsed, figures)] == [0] * 5, pairs.err + rehearsed.err
    assert "1,913 prompts, each by 2 people: 3,826 pairs" in pairs.out and "rankings of 4" in ranked.out
    assert abs(json.loads(plain.out)["prompts"] - 2401) < 5
    assert "20 people, 990 labels" in rehearsed.out and "gold items" in rehearsed.out and "Dawid-Skene" in rehearsed.out
    told = json.loads(figures.out)
    assert told["dawid_skene"]["mean"] > told["majority"]["mean"] and told["gold_detection"] is None and told["labels"] == 900


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stats", "absent.sqlite"], "there is no such store"),
        (["stats", "absent.jsonl"], "no such file"),
        (["stats", "nothing"], "a folder without annotations.sqlite"),
        (["stats", "broken.jsonl"], "broken.jsonl:2: the field 'tags' is missing"),
        (["stats", "wrong.jsonl"], "names each of 0 to 3 once"),
        (["power", "--of", "agrement"], "did you mean 'agreement'"),
        (["power", "--half-width", "2"], "two points are 0.02"),
        (["power", "--overlap", "1"], "two people"),
        (["simulate", "--overlap", "30"], "there are 20 people"),
        (["simulate", "--accuracy", "1.5"], "accuracy"),
    ],
)
def test_mistakes_are_one_sentence(folder, arguments, said):
    done = command("label", *arguments, folder=folder)
    assert done.code == 2 and said in done.err and done.err.strip().count("\n") == 0 and "Traceback" not in done.err
