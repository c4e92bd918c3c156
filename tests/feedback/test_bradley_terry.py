"""Bradley-Terry with ties and annotators: logistic regression's numbers, a gradient of zero, flippers found."""

import numpy as np
import pytest

from tests.feedback.crowd import auroc, crowd, rankings
from tutelage.feedback.agreement.votes import FIRST, SECOND, TIE, Votes, tabulate, votes_of
from tutelage.feedback.reliability.bradley_terry import bradley_terry


def compared(seed=0, k=6, votes=300, ties=0.0, people=3) -> Votes:
    """Votes on all pairs of k responses to one prompt."""
    random = np.random.default_rng(seed)
    strength = random.normal(0, 1, k)
    workers, items, labels = [], [], []
    for _ in range(votes):
        i, j = sorted(random.choice(k, 2, replace=False))
        first = random.random() < 1 / (1 + np.exp(strength[j] - strength[i]))
        workers.append(f"w{random.integers(people)}")
        items.append(("p", f"r{i}", f"r{j}"))
        labels.append(TIE if random.random() < ties else FIRST if first else SECOND)
    return tabulate(workers, items, labels)


def design(votes: Votes, responses) -> np.ndarray:
    place = {response: n for n, response in enumerate(responses)}
    rows = np.zeros((len(votes), len(responses)))
    for n, i in enumerate(votes.item_N):
        prompt, a, b = votes.items[i]
        rows[n, place[prompt, a]], rows[n, place[prompt, b]] = 1, -1
    return rows


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("ridge", [0.1, 2.0])
def test_without_ties_and_annotators_it_is_scikit_learns_logistic_regression(seed, ridge):
    linear_model = pytest.importorskip("sklearn.linear_model")
    votes = compared(seed)
    ours = bradley_terry(votes, ridge, annotators=False, tolerance=1e-12)
    oracle = linear_model.LogisticRegression(C=1 / ridge, fit_intercept=False, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    oracle.fit(design(votes, ours.responses), votes.label_N == 0)
    assert ours.converged and np.abs(ours.strength_R - oracle.coef_[0]).max() < 1e-9


def test_with_hardly_a_prior_it_is_crowd_kits():
    kit = pytest.importorskip("crowdkit.aggregation")
    pandas = pytest.importorskip("pandas")
    votes = compared(1, votes=600)
    left = [votes.items[i][1] for i in votes.item_N]
    right = [votes.items[i][2] for i in votes.item_N]
    won = [a if votes.labels[v] == FIRST else b for a, b, v in zip(left, right, votes.label_N)]
    scores = kit.BradleyTerry(n_iter=5000, tol=-1.0).fit_predict(pandas.DataFrame({"left": left, "right": right, "label": won}))
    ours = bradley_terry(votes, 1e-10, annotators=False, tolerance=1e-12)
    their = np.log(scores[[response for _, response in ours.responses]].to_numpy())
    apart = ours.strength_R - their
    assert np.abs(apart - apart.mean()).max() < 1e-9


@pytest.mark.parametrize("annotators", [False, True])
def test_ties_and_annotators_are_at_a_maximum(annotators):
    """Numerical gradient of Davidson's likelihood with turned-around reports, written once more from the equation."""
    votes, ridge, smoothing = compared(2, votes=400, ties=0.2), 0.3, 1.0
    found = bradley_terry(votes, ridge, annotators, smoothing, tolerance=1e-11, most=5000)
    rows = design(votes, found.responses)

    def posterior(parameters):
        s, theta, logit = parameters[:6], parameters[6], parameters[7:]
        d, nu = rows @ s, np.exp(theta)
        z = np.exp(d / 2) + np.exp(-d / 2) + nu
        first, second, tie = np.exp(d / 2) / z, np.exp(-d / 2) / z, nu / z
        a = 1 / (1 + np.exp(-logit)) if annotators else np.ones(3)
        a_N = a[votes.worker_N]
        chance = np.where(votes.label_N == 0, a_N * first + (1 - a_N) * second, a_N * second + (1 - a_N) * first)
        prior = -ridge / 2 * (s @ s + theta**2) + (smoothing * (4 * np.log(a) + np.log(1 - a)).sum() if annotators else 0.0)
        return np.log(np.where(votes.label_N == 2, tie, chance)).sum() + prior

    a = np.clip(found.reliability_W, 1e-9, 1 - 1e-9)
    at = np.concatenate([found.strength_R, [np.log(found.nu)], np.log(a / (1 - a))])
    free = len(at) if annotators else 7
    gradient = [(posterior(at + 1e-5 * np.eye(len(at))[n]) - posterior(at - 1e-5 * np.eye(len(at))[n])) / 2e-5 for n in range(free)]
    assert np.abs(gradient).max() < 1e-4
    moved = at + 0.05 * np.eye(len(at))[0]
    assert abs(posterior(moved + 1e-5) - posterior(moved - 1e-5)) / 2e-5 > 1e-2, "elsewhere the gradient is not zero"


def test_one_who_always_wins_has_a_finite_strength():
    votes = tabulate(["a"] * 40, [("p", "x", "y")] * 40, [FIRST] * 40)
    found = bradley_terry(votes, annotators=False)
    assert found.converged and 1 < found.strength_R[0] < 10 and found.strength_R.sum() == pytest.approx(0, abs=1e-9)
    assert 0.95 < found.first_I[0] < 1 and found.nu == 0 and found.tie_I[0] == 0


def test_ties_draw_strengths_together():
    won = tabulate(["a"] * 6, [("p", "x", "y")] * 6, [FIRST] * 6)
    tied = tabulate(["a"] * 12, [("p", "x", "y")] * 12, [FIRST] * 6 + [TIE] * 6)
    one, two = bradley_terry(won, annotators=False), bradley_terry(tied, annotators=False)
    assert 0.5 < two.first_I[0] < one.first_I[0] and two.nu > 0 and 0.3 < two.tie_I[0] < 0.7


def test_prompts_do_not_touch_each_other():
    together = votes_of(rankings(0, prompts=8))
    alone = together.where(together.group_N == 3)
    one = bradley_terry(together, annotators=False).first_I[together.group_I == 3]
    two = bradley_terry(alone, annotators=False).first_I[together.group_I == 3]
    assert np.abs(one - two).max() < 1e-9


@pytest.mark.parametrize("seed", [0, 1, 9931])
def test_flippers_are_found_and_turned_around(seed):
    votes, truth, bad = crowd(seed)
    found = bradley_terry(votes)
    assert ((found.first_I < 0.5) == truth).mean() >= 0.93 and auroc(found.reliability_W, bad) >= 0.95
    blind = bradley_terry(votes, annotators=False)
    assert ((blind.first_I < 0.5) == truth).mean() < 0.82, "it is the annotators that do it"


def test_rankings_recover_the_order():
    annotations = rankings(1, prompts=80, people=("a", "b", "c", "mad"), flips=("mad",), tie=0.1)
    votes = votes_of(annotations)
    found = bradley_terry(votes)
    worth = {(a.prompt.id, r.id): int(r.text.split()[-1]) for a in annotations for r in a.responses}
    right = [(p > 0.5) == (worth[i[0], i[1]] > worth[i[0], i[2]]) for i, p in zip(votes.items, found.first_I)]
    assert np.mean(right) > 0.9
    reliability = dict(zip(votes.workers, found.reliability_W))
    assert reliability["mad"] < 0.2 and min(reliability[name] for name in "abc") > 0.8


def test_three_who_agree_on_a_single_pair_are_believed():
    found = bradley_terry(tabulate(["a", "b", "c"], [("p", "x", "y")] * 3, [FIRST] * 3))
    assert 0.7 < found.first_I[0] < 0.99 and found.reliability_W.min() > 0.7


def test_what_it_refuses():
    with pytest.raises(ValueError, match="at least one vote"):
        bradley_terry(tabulate([], [], []))
    with pytest.raises(ValueError, match="on pairs of responses"):
        bradley_terry(tabulate(["a"], [("x",)], ["yes"]))
    with pytest.raises(ValueError, match="infinite"):
        bradley_terry(compared(), ridge=0)


def test_a_hundred_thousand_votes():
    votes, truth, _ = crowd(1, people=200, items=33_334, bad=40)
    found = bradley_terry(votes)
    assert ((found.first_I < 0.5) == truth).mean() > 0.9
