"""Aggregation: raw annotations in, one of each prompt out, with what the loss wants of it; and the filter that asks for it."""

from collections import Counter

import numpy as np
import pytest

from tests.feedback.crowd import rankings
from tutelage.core.errors import UserError
from tutelage.core.settings import build, to_plain
from tutelage.core.text import Response, ask
from tutelage.feedback import tasks
from tutelage.feedback.aggregate import aggregate, agreed, single
from tutelage.feedback.annotation import Annotation, from_plain
from tutelage.feedback.annotation import to_plain as plain_annotation
from tutelage.feedback.filters import Filter
from tutelage.feedback.pooled import TASK, Pooled
from tutelage.feedback.store import Store

TWO = (Response("left"), Response("right"))
HOWS = ("majority", "dawid_skene", "bradley_terry")


def pair(winner, annotator, prompt="why?", responses=TWO, **more) -> Annotation:
    return Annotation(ask(prompt), responses, "pair", {"winner": winner}, annotator, **more)


def preferred(annotation: Annotation) -> dict[tuple[str, str], float]:
    """(better text, other text): probability."""
    text = [response.text for response in annotation.responses]
    return {(text[s.winner], text[s.loser]): s.probability for s in tasks.signals_of(annotation)}


def test_a_majority_is_most_votes_and_certain():
    (made,) = aggregate([pair(0, "a"), pair(0, "b"), pair(1, "c")], "majority")
    assert preferred(made) == {("left", "right"): 1.0} and made.annotator == "aggregate:majority" and made.task == TASK
    for even in ([pair(0, "a"), pair(1, "b")], [pair("tie", "a"), pair("tie", "b"), pair(1, "c")]):
        (made,) = aggregate(even, "majority")
        assert preferred(made) == {}, "neither has most votes"


def test_the_stored_order_of_responses_is_no_vote():
    (made,) = aggregate([pair(0, "a"), pair(1, "b", responses=TWO[::-1]), pair(1, "c")], "majority")
    assert preferred(made) == {("left", "right"): 1.0}


def test_weights_are_votes():
    (made,) = aggregate([pair(0, "a", weight=2.5), pair(1, "b"), pair(1, "c")], "majority")
    assert preferred(made) == {("left", "right"): 1.0}


@pytest.mark.parametrize("how", HOWS)
def test_all_pairs_of_a_prompt_are_one_unit(how):
    made = aggregate(rankings(0, prompts=20), how)
    assert len(made) == 20 and [a.id for a in made] == sorted(a.id for a in made)
    for annotation in made:
        signals = tasks.signals_of(annotation)
        assert sum(s.weight for s in signals) == pytest.approx(1) and len(annotation.responses) == 4
        assert 4 <= len(signals) <= 6 and all(0.5 < s.probability <= 1 for s in signals)
        assert annotation.weight == 1.0 and from_plain(plain_annotation(annotation)) == annotation


@pytest.mark.parametrize("how", ["dawid_skene", "bradley_terry"])
def test_models_of_people_see_through_those_who_flip(how):
    people = ("a", "b", "c", "d", "x", "y")
    given = rankings(3, prompts=80, people=people, noise=0.9, flips=("x", "y"))

    def right(how):
        pairs = [pair for annotation in aggregate(given, how) for pair in preferred(annotation)]
        return np.mean([int(better.split()[-1]) > int(other.split()[-1]) for better, other in pairs])

    assert right(how) > right("majority") + 0.05 and right(how) > 0.9


def test_probabilities_are_how_often_it_is_right():
    """Of people whose every judgement of a pair is right with the same chance."""
    random = np.random.default_rng(5)
    given = [pair(int(random.random() > q), name, f"prompt {n}") for n in range(1500) for name, q in (("a", 0.8), ("b", 0.7), ("c", 0.9))]
    found = [(p, better == "left") for made in aggregate(given, "dawid_skene") for (better, _), p in preferred(made).items()]
    for low, high in ((0.5, 0.8), (0.8, 0.95), (0.95, 1)):
        some = [(p, right) for p, right in found if low < p <= high]
        p, right = np.mean(some, axis=0)
        assert len(some) > 100 and abs(p - right) < 0.06


@pytest.mark.parametrize("how", HOWS)
def test_the_order_in_which_they_came_changes_nothing(how):
    given = rankings(1, prompts=10)
    assert [a.id for a in aggregate(given, how)] == [a.id for a in aggregate(given[::-1], how)]


def test_responses_of_one_prompt_meet_across_annotations():
    three = (*TWO, Response("middle"))
    given = [
        Annotation(ask("why?"), three, "ranking", {"tiers": [[0], [2], [1]]}, "a"),
        pair(0, "b"),
        pair(1, "c", responses=(TWO[1], three[2])),
    ]
    (made,) = aggregate(given, "majority")
    assert {r.text for r in made.responses} == {"left", "right", "middle"}
    assert preferred(made) == {("left", "middle"): 1.0, ("left", "right"): 1.0, ("middle", "right"): 1.0}


def test_minimum_agreement_drops_prompts_and_says_how_many():
    given = [pair(0, "a", "x"), pair(0, "b", "x"), pair(0, "a", "y"), pair(1, "b", "y"), pair(0, "a", "z")]
    kept, dropped = agreed(given, 0.6)
    assert dropped == 1 and {a.prompt.last for a in kept} == {"x", "z"}, "nothing is known against what one person judged"
    assert aggregate(given, "none", 0.6) == kept and len(aggregate(given, "majority", 0.6)) == 2
    assert agreed(given, 0.0) == (given, 0) and agreed(given, None) == (given, 0)
    assert agreed([], 0.9) == ([], 0)


def test_one_persons_word_counts_as_that_person_is_right_elsewhere():
    others = [pair(0, name, f"shared {n}") for n in range(40) for name in "abc"] + [pair(1, "x", f"shared {n}") for n in range(40)]
    given = [*others, pair(0, "a", "by a"), pair(0, "x", "by x"), pair(0, "new", "by new")]
    made = {a.prompt.last: preferred(a) for a in aggregate(given, "dawid_skene")}
    assert made["by a"]["left", "right"] > 0.95 and made["by x"]["right", "left"] > 0.8
    assert made["by new"] == {("left", "right"): 0.8}
    sure = {a.prompt.last: preferred(a) for a in aggregate(given, "majority")}
    assert sure["by x"] == {("left", "right"): 1.0}, "a majority knows nothing of people"
    assert single(given) == 3 and single(others) == 0


def test_where_nobody_shares_a_prompt_joining_keeps_every_word():
    """The likeliest is the one vote, as the majority's; of how sure it is nothing was measured, so it is the same for all."""
    given = [pair(n % 2, "abc"[n % 3], f"prompt {n}") for n in range(30)]
    made, sure = ({a.prompt.last: preferred(a) for a in aggregate(given, how)} for how in ("dawid_skene", "majority"))
    assert {prompt: list(pairs) for prompt, pairs in made.items()} == {prompt: list(pairs) for prompt, pairs in sure.items()}
    assert {p for pairs in made.values() for p in pairs.values()} == {0.8} and single(given) == 30


def test_what_orders_nothing_is_refused():
    stars = Annotation(ask("why?"), TWO, "likert", {"values": [1, 7]}, "a")
    for how in HOWS:
        with pytest.raises(UserError, match=f"by a: {how} is for tasks that order responses"):
            aggregate([stars], how)
    with pytest.raises(UserError, match="minimum_agreement is for tasks"):
        agreed([stars], 0.5)
    assert aggregate([stars], "none") == [stars]


@pytest.mark.parametrize("how", HOWS)
def test_each_aspect_is_joined_by_itself(how):
    true = [pair(0, name, aspect="truthful") for name in "abc"]
    kind = [pair(1, name, aspect="kind") for name in "abc"]
    made = {a.aspect: preferred(a) for a in aggregate([*true, *kind], how)}
    assert {aspect: set(pairs) for aspect, pairs in made.items()} == {"truthful": {("left", "right")}, "kind": {("right", "left")}}
    assert {s.aspect for a in aggregate(true, how) for s in tasks.signals_of(a)} == {"truthful"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, "a pooled answer is"),
        ({"pairs": [[0, 1]]}, "a pooled answer is"),
        ({"pairs": [[0, True, 0.9]]}, "a pooled answer is"),
        ({"pairs": [], "more": 1}, "a pooled answer is"),
        ({"pairs": [[0, 2, 0.9]]}, "two of the responses 0 to 1"),
        ({"pairs": [[1, 1, 0.9]]}, "two of the responses"),
        ({"pairs": [[-1, 1, 0.9]]}, "two of the responses"),
        ({"pairs": [[0, 1, 0.5]]}, "above 0.5"),
        ({"pairs": [[0, 1, 1.5]]}, "at most 1"),
        ({"pairs": [[0, 1, float("nan")]]}, "above 0.5"),
        ({"pairs": [[0, 1, 0.9], [1, 0, 0.8]]}, "there twice"),
    ],
)
def test_a_pooled_answer_refuses(answer, said):
    with pytest.raises(UserError, match=said):
        tasks.signals_of(Annotation(ask("x"), TWO, TASK, answer, "aggregate:majority"))


def test_a_pooled_answer_comes_back():
    answer = {"pairs": [[1, 0, 0.75]]}
    pooled = Pooled.from_answer(answer)
    assert pooled.to_answer() == answer and "2 responses" in Pooled.question(2)
    assert pooled.said((0, 1)) == "B over A (75 %)" and pooled.said((1, 0)) == "A over B (75 %)"
    assert Pooled(()).said((0, 1)) == "no pair has a better one"
    for asked in (lambda: Pooled.form(2), lambda: Pooled.from_form({}, (0, 1)), lambda: pooled.to_form((0, 1))):
        with pytest.raises(UserError, match="nobody is asked"):
            asked()


@pytest.fixture
def store(tmp_path) -> Store:
    """Five prompts; on the fifth, two of three disagree with nobody twice."""
    made = Store(tmp_path / "store.db")
    made.append(rankings(2, prompts=30, people=("ann-01", "ann-02", "ann-03"), noise=1.0))
    return made


def test_a_filter_weighs(store):
    light = list(Filter("p", weights={"ann-02": 0.5}).read(store))
    assert Counter((a.annotator, a.weight) for a in light) == {("ann-01", 1.0): 30, ("ann-02", 0.5): 30, ("ann-03", 1.0): 30}
    assert [a.id for a in light] == sorted(a.id for a in light)


def test_a_filter_aggregates_and_tells_whose_annotations_they_were(store):
    joined = Filter("p", without=("ann-03",), aggregate="dawid_skene")
    made = list(joined.read(store))
    assert len(made) == 30 and {a.annotator for a in made} == {"aggregate:dawid_skene"}
    assert joined.annotators(store) == {"ann-01": 30, "ann-02": 30}
    taken = Filter("p", aggregate="majority", minimum_agreement=0.7).applied(store.read())
    assert taken.dropped > 0 == taken.single and len(taken.annotations) == 30 - taken.dropped
    assert set(taken.people.values()) == {30 - taken.dropped}, "who was dropped taught nothing"
    assert Filter("p", minimum_agreement=0.7).annotators(store) == taken.people


def test_the_hash_is_of_the_raw_annotations_and_of_every_setting(store):
    filters = [
        Filter("p"),
        Filter("p", ("ann-03",)),
        Filter("p", aggregate="majority"),
        Filter("p", aggregate="dawid_skene"),
        Filter("p", ("ann-03",), aggregate="dawid_skene"),
        Filter("p", minimum_agreement=0.5),
        Filter("p", minimum_agreement=0.6),
        Filter("p", weights={"ann-01": 0.5}),
        Filter("p", weights={"ann-02": 0.5}),
        Filter("p", weights={"ann-02": 0.25}),
    ]
    hashes = [each.hash(store) for each in filters]
    assert len(set(hashes)) == len(filters) and hashes[0] == store.hash
    assert Filter("other", aggregate="majority").hash(store) == hashes[2], "the name it goes by is not what it holds"
    store.append([pair(0, "ann-01", "new")])
    assert all(each.hash(store) != before for each, before in zip(filters, hashes))


def test_a_filter_is_read_from_a_recipe():
    tree = {"from": "p", "without": ["x"], "aggregate": "dawid_skene", "minimum_agreement": 0.6, "weights": {"ann-03": 0.5}}
    built = build(Filter, tree, "recipe.yaml")
    assert built == Filter("p", ("x",), "dawid_skene", 0.6, {"ann-03": 0.5}) and to_plain(built) == tree
    assert isinstance(hash(built), int)
    for wrong, said in (
        ({"aggregate": "dawid_skeen"}, "did you mean 'dawid_skene'"),
        ({"minimum_agreement": 1.2}, "minimum_agreement"),
        ({"weights": {"ann-03": 0}}, "ann-03"),
        ({"weights": {"ann-03": "half"}}, "a number"),
    ):
        with pytest.raises(UserError, match=said):
            build(Filter, {"from": "p", **wrong}, "recipe.yaml")


def test_a_weight_for_nobody_is_refused(store):
    with pytest.raises(UserError, match=r"p: weights: nobody named 'ann-3' annotated here; did you mean 'ann-03'"):
        Filter("p", weights={"ann-3": 0.5}).hash(store)
