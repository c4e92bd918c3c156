"""Votes: what an annotation says, whichever task it was."""

from dataclasses import replace

import numpy as np
import pytest

from tutelage.core.errors import UserError
from tutelage.core.text import Response, ask
from tutelage.feedback.agreement.votes import FIRST, SECOND, TIE, Votes, by_kind, collected, spoken, tabulate, votes_in, votes_of
from tutelage.feedback.annotation import Annotation

WORDS = ("a short one", "a somewhat longer one", "b", "and the longest of all of them")
RESPONSES = tuple(Response(text) for text in WORDS)


def annotation(task, answer, annotator="ann-01", responses=RESPONSES, prompt="why?", **more) -> Annotation:
    return Annotation(ask(prompt), responses, task, answer, annotator, **more)


def said(votes: Votes) -> dict[tuple[str, tuple[str, ...]], object]:
    return {(votes.workers[w], votes.items[i]): votes.labels[v] for w, i, v in zip(votes.worker_N, votes.item_N, votes.label_N)}


def item(*places: int) -> tuple[str, ...]:
    return ask("why?").id, *sorted(RESPONSES[place].id for place in places)


def better(place: int, other: int) -> str:
    return FIRST if RESPONSES[place].id < RESPONSES[other].id else SECOND


def test_a_ranking_is_a_vote_on_every_pair_with_ties():
    votes = said(votes_of([annotation("ranking", {"tiers": [[2], [0, 3], [1]]})]))
    ordered = {(2, 0), (2, 3), (2, 1), (0, 1), (3, 1)}
    assert votes == {("ann-01", item(*pair)): better(*pair) for pair in ordered} | {("ann-01", item(0, 3)): TIE}


def test_a_pair_and_a_ranking_meet_on_the_same_item_whatever_the_order_stored():
    ranking = annotation("ranking", {"tiers": [[2], [0], [3], [1]]})
    pair = annotation("pair", {"winner": 1}, "ann-02", (RESPONSES[0], RESPONSES[2]))
    votes = votes_of([ranking, pair])
    assert said(votes)["ann-01", item(0, 2)] == said(votes)["ann-02", item(0, 2)] == better(2, 0)
    assert sorted(votes.count_I.tolist()) == [1] * 5 + [2]
    turned = replace(pair, responses=pair.responses[::-1], answer={"winner": 0})
    assert said(votes_of([turned])) == said(votes_of([pair])), "only the stored order differs"


def test_a_tie_of_a_pair_is_a_vote():
    votes = votes_of([annotation("pair", {"winner": "tie"}, responses=RESPONSES[:2])])
    assert votes.labels == (FIRST, SECOND, TIE) and list(said(votes).values()) == [TIE]
    assert len(votes.preferring()) == 0


def test_votes_on_one_prompt_are_one_cluster():
    votes = votes_of([annotation("ranking", {"tiers": [[2], [0], [3], [1]]}, prompt=prompt) for prompt in ("x", "y")])
    assert len(votes.items) == 12 and votes.groups == 2
    assert [len(set(votes.group_I[np.array([i[0] == ask(p).id for i in votes.items])])) for p in ("x", "y")] == [1, 1]


def test_what_can_not_be_told_apart_is_no_item():
    twins = (RESPONSES[0], Response(WORDS[0]), RESPONSES[1])
    votes = votes_of([annotation("ranking", {"tiers": [[0], [1], [2]]}, responses=twins)])
    assert set(votes.items) == {item(0, 1)}
    cut = (RESPONSES[0], Response(WORDS[0], finished=False))
    assert len(votes_of([annotation("pair", {"winner": 0}, responses=cut)])) == 1, "a cut response is another one"


def test_two_bad_ones_are_a_tie_and_the_middle_of_best_and_worst_no_vote():
    votes = votes_of([annotation("pair", {"winner": "both_bad"}, responses=RESPONSES[:2])])
    assert list(said(votes).values()) == [TIE]
    ends = said(votes_of([annotation("best_worst", {"best": 2, "worst": 0})]))
    assert set(ends) == {("ann-01", item(*pair)) for pair in ((2, 0), (2, 1), (2, 3), (1, 0), (3, 0))} and TIE not in ends.values()


@pytest.mark.parametrize(
    ("task", "answer", "labels"),
    [
        ("likert", {"values": [1, 7, 4, 4]}, [0, 1, 0.5, 0.5]),
        ("binary", {"good": [True, False, True, True]}, [1, 0, 1, 1]),
        ("score", {"values": [0, 10, 2.5, 5]}, [0, 1, 0.25, 0.5]),
    ],
)
def test_values_are_votes_on_single_responses(task, answer, labels):
    votes = said(votes_of([annotation(task, answer)]))
    assert votes == {("ann-01", (ask("why?").id, RESPONSES[place].id)): label for place, label in enumerate(labels)}


def test_aspects_and_tasks_are_kept_apart_and_texts_are_no_votes():
    true = annotation("pair", {"winner": 0}, responses=RESPONSES[:2], aspect="truthful")
    kind = replace(true, answer={"winner": 1}, aspect="kind")
    assert set(votes_of([true, kind]).items) == {(*item(0, 1), "truthful"), (*item(0, 1), "kind")}
    edit = annotation("edit", {"response": 0, "text": "better"})
    likert = annotation("likert", {"values": [1, 7, 4, 4]}, aspect="truthful")
    kinds = by_kind([true, kind, edit, likert])
    assert set(kinds) == {("order", "truthful"), ("order", "kind"), ("likert", "truthful")}
    assert len(votes_of([edit])) == 0


def test_who_is_asked_twice_counts_once_with_the_first_answer():
    late = annotation("pair", {"winner": 0}, responses=RESPONSES[:2], at="2026-02-02T10:00:00Z")
    early = replace(late, answer={"winner": 1}, at="2026-02-01T10:00:00Z")
    assert list(said(votes_of([late, early])).values()) == list(said(votes_of([early, late])).values()) == [better(1, 0)]
    assert len(spoken([late, early])) == 2


def test_where_each_stood_on_the_screen_and_how_long_it_is():
    (vote,) = votes_in(annotation("pair", {"winner": 0}, responses=RESPONSES[:2], shown=(1, 0)))
    stored_first = RESPONSES[0].id < RESPONSES[1].id
    assert vote.earlier == (-1 if stored_first else 1), "place 1 was shown first"
    assert vote.longer == pytest.approx(np.log((1 + len(WORDS[0])) / (1 + len(WORDS[1]))) * (1 if stored_first else -1))
    (unknown,) = votes_in(annotation("pair", {"winner": 0}, responses=RESPONSES[:2]))
    assert unknown.earlier == 0, "nobody knows what stood first"


def test_an_outsiders_preferences_are_votes_and_what_it_says_nothing_of_is_none(monkeypatch):
    import sys
    import types

    from tutelage.feedback.signals import Label, Preference
    from tutelage.feedback.tasks.pair import Pair

    class Best(Pair):
        @classmethod
        def from_answer(cls, answer):
            return cls(answer["best"])

        def check(self, k):
            pass

        def signals(self, k):
            return [Preference(self.winner, other, weight=1 / (k - 1)) for other in range(k) if other != self.winner]

    class Stars(Best):
        gives = "labels"

        def signals(self, k):
            return [Label(place, float(self.winner + place), weight=1 / k) for place in range(k)]

    module = types.ModuleType("votes_outsider")
    module.Best, module.Stars = Best, Stars
    monkeypatch.setitem(sys.modules, "votes_outsider", module)
    best = annotation("votes_outsider:Best", {"best": 2})
    assert said(votes_of([best])) == {("ann-01", item(2, other)): better(2, other) for other in (0, 1, 3)}
    stars = annotation("votes_outsider:Stars", {"best": 3})
    votes = votes_of([stars])
    assert votes.labels == (3.0, 4.0, 5.0, 6.0) and votes.values_L.tolist() == [3, 4, 5, 6]
    assert said(votes) == {("ann-01", (ask("why?").id, RESPONSES[place].id)): 3.0 + place for place in range(4)}
    kinds = by_kind([best, stars, annotation("pair", {"winner": "tie"}, responses=RESPONSES[:2])])
    assert {kind: len(of_it) for kind, of_it in kinds.items()} == {("order", "overall"): 2, ("votes_outsider:Stars", "overall"): 1}
    with pytest.raises(UserError, match="votes of two kinds"):
        votes_of([best, stars])


def test_labels_have_an_order_and_kinds_do_not_mix():
    assert tabulate(["a"] * 3, [("x",)] * 3, [TIE, SECOND, FIRST]).labels == (FIRST, SECOND, TIE)
    assert tabulate(["a"], [("x",)], [SECOND]).labels == (FIRST, SECOND), "both sides are there, whoever won"
    assert tabulate(["a"] * 3, [("x",)] * 3, [10, 9, 2.5]).labels == (2.5, 9, 10)
    assert tabulate(["a"] * 2, [("x",)] * 2, ["yes", "no"]).labels == ("no", "yes")
    assert tabulate(["a"] * 2, [("x",)] * 2, ["yes", "no"]).values_L.tolist() == [0, 1]
    with pytest.raises(UserError, match="two kinds"):
        tabulate(["a"] * 2, [("x",)] * 2, ["yes", 1])


def test_shares_are_weighted_and_equal_where_nobody_voted():
    votes = tabulate(["a", "b", "c"], [("x",), ("x",), ("y",)], [FIRST, SECOND, TIE], [1.0, 3.0, 1.0])
    assert votes.share_IL.tolist() == [[0.25, 0.75, 0], [0, 0, 1]]
    left = votes.where(votes.label_N < 2)
    assert left.items == votes.items and left.share_IL[1].tolist() == [1 / 3] * 3 and left.weight_N.tolist() == [1, 3]


def test_no_annotations_are_no_votes():
    votes = votes_of([])
    assert len(votes) == 0 and votes.groups == 0 and collected([]).items == ()


def test_a_broken_answer_is_named():
    with pytest.raises(UserError, match="by ann-07"):
        votes_of([annotation("ranking", {"tiers": [[0]]}, "ann-07")])
