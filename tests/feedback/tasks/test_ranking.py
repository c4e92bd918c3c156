"""Rankings: tiers, their pairs, and the order that people type."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tutelage.core.errors import UserError
from tutelage.feedback.signals import Preference
from tutelage.feedback.tasks.ranking import Ranking, parse_order

SIGNS = "123456789abciABI=>, \t\n0x-é١"


def test_ranking_gives_every_pair_of_different_tiers_once():
    signals = Ranking.from_answer({"tiers": [[2], [0, 3], [1]]}).signals(4)
    pairs = {(s.winner, s.loser) for s in signals if isinstance(s, Preference)}
    assert pairs == {(2, 0), (2, 3), (2, 1), (0, 1), (3, 1)}
    assert len(signals) == 5 and {s.weight for s in signals} == {1 / 5}


@pytest.mark.parametrize("k", range(2, 10))
def test_weights_of_a_ranking_sum_to_one(k: int):
    for cuts in itertools.islice(itertools.product([False, True], repeat=k - 1), 64):
        tiers = [[0]]
        for place, cut in enumerate(cuts, start=1):
            if cut:
                tiers.append([])
            tiers[-1].append(place)
        signals = Ranking.from_answer({"tiers": tiers}).signals(k)
        assert sum(s.weight for s in signals) == pytest.approx(1 if any(cuts) else 0, abs=1e-12)
        assert bool(signals) == any(cuts)


def test_all_tied_has_no_signals():
    assert Ranking.from_answer({"tiers": [[0, 1, 2]]}).signals(3) == []


@pytest.mark.parametrize(
    ("tiers", "k", "said"),
    [
        ([[0]], 1, "2 to 9 responses"),
        ([[i] for i in range(10)], 10, "2 to 9 responses"),
        ([[0], [0]], 2, "each of 0 to 1 once"),
        ([[0]], 2, "each of 0 to 1 once"),
        ([[0], [2]], 2, "each of 0 to 1 once"),
        ([[0], [], [1]], 2, "empty tiers"),
    ],
)
def test_ranking_refuses(tiers, k, said):
    with pytest.raises(UserError, match=said):
        Ranking.from_answer({"tiers": tiers}).check(k)


@pytest.mark.parametrize(
    "answer", [{}, {"tiers": "01"}, {"tiers": [0, 1]}, {"tiers": [["0"]]}, {"tiers": [[True]]}, {"tiers": [[0]], "x": 1}]
)
def test_ranking_refuses_another_form(answer):
    with pytest.raises(UserError, match="a ranking is"):
        Ranking.from_answer(answer)


@pytest.mark.parametrize(
    ("text", "tiers"),
    [
        ("2 1 = 3", ((1,), (0, 2))),
        ("2 1=3", ((1,), (0, 2))),
        ("2>1=3", ((1,), (0, 2))),
        ("2, 1 = 3", ((1,), (0, 2))),
        ("21=3", ((1,), (0, 2))),
        ("b a = c", ((1,), (0, 2))),
        ("B > A = C", ((1,), (0, 2))),
        ("b 1 = C", ((1,), (0, 2))),
        ("  3\t2\r\n1 ", ((2,), (1,), (0,))),
        ("1 = 2 = 3", ((0, 1, 2),)),
        ("3 = 1 2", ((2, 0), (1,))),
    ],
)
def test_an_order_is_read_however_it_is_typed(text, tiers):
    assert parse_order(text, 3) == tiers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Responses 1, 2 and 3 have no rank yet."),
        ("2 1", "Response 3 has no rank yet."),
        ("2", "Responses 1 and 3 have no rank yet."),
        ("2 1 2 3", "Response 2 stands in the order twice."),
        ("2 b 1 3", "Response 2 stands in the order twice."),
        ("2 = 2 1 3", "Response 2 stands in the order twice."),
        ("4 1 2 3", "There is no response '4'; type numbers from 1 to 3, best first: 2 1 = 3."),
        ("0 1 2", "There is no response '0'"),
        ("d 1 2", "There is no response 'd'"),
        ("1 2 ? 3", "There is no response '?'"),
        ("1-2-3", "There is no response '-'"),
        ("D 1 2", "There is no response 'd'"),
        ("١ 2 3", "There is no response '١'"),
        ("= 1 2 3", "The order has a '=' without a response before it."),
        ("1 > = 2 3", "The order has a '=' without a response before it."),
        ("1 = = 2 3", "The order has a '=' without a response before it."),
        ("1 2 3 =", "The order has a '=' without a response after it."),
        ("1 2 3 >", "The order has a '>' without a response after it."),
    ],
)
def test_a_wrong_order_is_said_in_words(text, said):
    with pytest.raises(UserError) as caught:
        parse_order(text, 3)
    assert str(caught.value).startswith(said)


def test_a_letter_of_another_alphabet_is_no_letter_of_ours():
    """Made small, İ is an i with a dot above: two signs, the first of which is a response of nine."""
    with pytest.raises(UserError, match="There is no response"):
        parse_order("1 2 3 4 5 6 7 8 \u0130", 9)


@given(st.text(SIGNS, max_size=24) | st.text(max_size=24), st.integers(2, 9))
@example("1" * 100_000, 2)
@example("\x00\ud800 1 2", 2)
def test_any_text_is_a_whole_order_or_one_sentence(text: str, k: int):
    try:
        tiers = parse_order(text, k)
    except UserError as error:
        assert str(error).endswith(".") and "\n" not in str(error) and len(str(error)) < 120
    else:
        assert sorted(place for tier in tiers for place in tier) == list(range(k)) and () not in tiers


@given(st.permutations(range(9)), st.lists(st.sampled_from(["", " ", " > ", ",", "=", " = "]), min_size=8, max_size=8), st.booleans())
def test_what_is_typed_between_two_places_says_which_are_equal(order: list[int], between: list[str], letters: bool):
    names = [chr(ord("A") + place) if letters else str(place + 1) for place in order]
    tiers = parse_order("".join(name + gap for name, gap in zip(names, [*between, ""])), 9)
    assert [place for tier in tiers for place in tier] == order
    assert len(tiers) == 9 - sum("=" in gap for gap in between)


def test_typed_on_a_shuffled_screen_and_said_back():
    """The second on the screen is stored first: what is typed, stored and said agree."""
    shown = (2, 0, 3, 1)
    ranking = Ranking.from_form({"order": "2 1 = 3 4"}, shown)
    assert ranking == Ranking(((0,), (2, 3), (1,)))
    assert ranking.said(shown) == "B over A = C over D"
    assert ranking.to_form(shown) == {"order": "2 1 = 3 4"}
    assert ranking.said(()) == "A over C = D over B"
    with pytest.raises(UserError, match=r"^Response 4 has no rank yet\.$"):
        Ranking.from_form({"order": "2 1 = 3"}, shown)
