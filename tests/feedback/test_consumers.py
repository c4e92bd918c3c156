"""What was made from one person's annotations is named, through parents, and not where the person was left out."""

import pytest

from tutelage.core.artifact import Artifact
from tutelage.core.errors import UserError
from tutelage.core.run import Run
from tutelage.feedback.consumers import consumers

STAGES = {
    "sft": ({}, {}),
    "people": ({"sft": "a1"}, {"annotators": {"ann-01": 5, "ann-02": 7}}),
    "reward": ({"sft": "a1", "people": "a2"}, {"consumed": {"ann-01": 5, "ann-02": 7}}),
    "without": ({"sft": "a1", "people": "a2"}, {"consumed": {"ann-02": 7}}),
    "ppo": ({"sft": "a1", "reward": "a3"}, {}),
    "best": ({"sft": "a1", "without": "a4"}, {}),
    "report": ({"ppo": "a5", "best": "a6"}, {}),
}


@pytest.fixture
def run(tmp_path):
    """A run with these artifacts, and an older `reward` that isn't current."""
    opened = Run.open(tmp_path / "run", "recipe", create=True)

    def finish(stage, hash_, parents, results):
        opened.building(stage, hash_)
        opened.finish(
            Artifact(stage=stage, hash=hash_, method="m", parents=parents, results=results, created=f"2026-01-01T00:00:{hash_[1]:>02}")
        )

    for stage, (parents, results) in STAGES.items():
        finish(stage, f"a{list(STAGES).index(stage) + 1}", parents, results)
    finish("reward", "b9", {"people": "a2"}, {"consumed": {"ann-01": 1}})
    opened.use(next(one for one in opened.artifacts() if one.hash == "a3"))
    opened.close()
    return tmp_path / "run"


def test_every_artifact_of_a_person_is_named(run):
    found = consumers([run], "ann-01")
    assert [(c.stage, c.annotations, c.current) for c in found] == [
        ("people", 5, True),
        ("reward", 5, True),
        ("ppo", 0, True),
        ("report", 0, True),
        ("reward", 1, False),
    ]
    assert {c.run for c in found} == {run}


def test_who_was_left_out_is_behind_less(run):
    assert [c.stage for c in consumers([run], "ann-02")] == ["people", "reward", "without", "ppo", "best", "report"]
    assert consumers([run], "nobody") == [] and consumers([], "ann-01") == []


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(UserError):
        consumers([tmp_path], "ann-01")


def studied(folder, stages):
    """A run with these artifacts: (stage, parents, results), all of one hash each."""
    with Run.open(folder, "recipe", create=True) as opened:
        for n, (stage, parents, results) in enumerate(stages):
            opened.building(stage, f"{stage}-hash")
            made = {name: f"{name}-hash" for name in parents}
            opened.finish(
                Artifact(stage=stage, hash=f"{stage}-hash", method="m", parents=made, results=results, created=f"2026-01-01T00:00:{n:02}")
            )
    return folder


def test_two_studies_may_each_have_an_ann_01(tmp_path):
    run = studied(
        tmp_path / "run",
        [
            ("ours", [], {"annotators": {"ann-01": 5}, "study": "a" * 16}),
            ("theirs", [], {"annotators": {"ann-01": 7}, "study": "b" * 16}),
            ("of_ours", ["ours"], {"consumed": {"ann-01": 5}, "study": "a" * 16}),
            ("of_theirs", ["theirs"], {"consumed": {"ann-01": 7}, "study": "b" * 16}),
            ("of_a_file", [], {"consumed": {"ann-01": 3}}),
            ("mixed", ["of_theirs", "of_a_file"], {}),
            ("both", ["of_ours", "of_theirs"], {}),
        ],
    )
    named = [(c.stage, c.annotations, c.sure) for c in consumers([run], "ann-01", "a" * 16)]
    assert named == [("ours", 5, True), ("of_ours", 5, True), ("of_a_file", 3, False), ("mixed", 0, False), ("both", 0, True)]
    assert [c.stage for c in consumers([run], "ann-01", "b" * 16)] == ["theirs", "of_theirs", "of_a_file", "mixed", "both"]
    assert [c.stage for c in consumers([run], "ann-01", "c" * 16)] == ["of_a_file", "mixed"]


def test_a_comparison_judged_by_a_namesake_is_named_for_the_models_it_measured_alone(tmp_path):
    run = studied(
        tmp_path / "run",
        [
            ("reward", [], {"consumed": {"ann-01": 5}, "study": "a" * 16}),
            ("eval", ["reward"], {"annotators": {"ann-01": 9}, "study": "b" * 16}),
        ],
    )
    assert [(c.stage, c.annotations) for c in consumers([run], "ann-01", "a" * 16)] == [("reward", 5), ("eval", 0)]
    assert [(c.stage, c.annotations) for c in consumers([run], "ann-01", "b" * 16)] == [("eval", 9)]
