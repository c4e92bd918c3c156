"""A rehearsed study says what the real one would: the published simulation, and what each kind of person does."""

import numpy as np
import pytest

from tests.feedback.crowd import crowd
from tutelage.core.errors import UserError
from tutelage.feedback.agreement.pairwise import agreement
from tutelage.feedback.rehearsal import Rehearsal, auroc, judged, names, once, rehearse


def test_four_flippers_of_twenty():
    found = rehearse(Rehearsal(), repeats=10)
    assert found["majority"].mean == pytest.approx(0.767, abs=0.015)
    assert found["dawid_skene"].low >= 0.93 and found["detection"].low >= 0.95
    assert found["gold_detection"] is None


def test_it_agrees_with_a_simulation_written_apart():
    ours = rehearse(Rehearsal(), repeats=8)
    apart = [crowd(seed) for seed in range(8)]
    majority = np.mean([((votes.share_IL[:, 1] > 0.5) == truth).mean() for votes, truth, _ in apart])
    assert ours["majority"].mean == pytest.approx(majority, abs=0.01)
    assert ours["agreement"].mean == pytest.approx(np.mean([agreement(votes).mean for votes, _, _ in apart]), abs=0.01)


def test_an_honest_crowd_has_instructgpts_agreement():
    found = rehearse(Rehearsal(honest=20, flippers=0), repeats=4)
    assert found["agreement"].mean == pytest.approx(0.726, abs=0.01) and found["majority"].mean == pytest.approx(0.928, abs=0.01)
    assert found["detection"] is None, "nobody to find"


def test_clickers_cost_accuracy_and_are_found():
    found = rehearse(Rehearsal(flippers=0, clickers=4), repeats=4)
    assert 0.85 < found["majority"].mean < 0.88 < found["dawid_skene"].mean + 0.02 and found["detection"].mean > 0.95


def test_who_takes_the_first_is_half_a_clicker():
    votes, truth = judged(Rehearsal(items=6000, honest=10, flippers=0, biased=10))
    right = (votes.label_N == truth[votes.item_N]).astype(float)
    biased = votes.worker_N >= 10
    assert right[~biased].mean() == pytest.approx(0.836, abs=0.015)
    assert right[biased].mean() == pytest.approx((0.836 + 0.5) / 2, abs=0.015)


def test_gold_finds_the_bad_and_costs():
    study, without = Rehearsal(gold_rate=0.1), Rehearsal()
    assert rehearse(study, 3)["gold_detection"].mean > 0.95
    assert study.labels == 6600 and study.cost == pytest.approx(1.1 * without.cost) == pytest.approx(6600 * 37 / 3600 * 15)
    scarce = rehearse(Rehearsal(items=60, flippers=0, clickers=4, gold_rate=0.05), 10)
    assert scarce["gold_detection"].mean < 0.95, "one or two gold items decide nothing"


def test_everybody_judges_an_item_at_most_once():
    votes, _ = judged(Rehearsal(items=500, overlap=7))
    assert len(set(zip(votes.worker_N.tolist(), votes.item_N.tolist()))) == 3500 == len(votes)
    assert names(Rehearsal(honest=2, flippers=1, clickers=1, biased=1)) == (
        "honest-01", "honest-02", "flipper-01", "clicker-01", "biased-01",
    )  # fmt: skip


def test_a_repeat_can_be_made_again_alone():
    study = Rehearsal(items=200)
    assert once(study, 3, 5) == once(study, 3, 5) != once(study, 3, 6)
    assert once(study, 3, 5) != once(study, 4, 5)


def test_auroc_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    score, bad = random.integers(0, 6, 40) / 5, random.random(40) < 0.3
    assert auroc(score, bad) == pytest.approx(metrics.roc_auc_score(bad, -score), abs=1e-12)
    assert auroc(score, np.zeros(40, bool)) is None


def test_nobody_judges_twice():
    with pytest.raises(UserError, match="there are 20 people"):
        rehearse(Rehearsal(overlap=21))
