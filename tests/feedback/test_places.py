"""Places on the screen and stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutelage.core.errors import UserError
from tutelage.feedback.places import fits, letter, letter_of, lettered, numbered, on_screen, screen_place, stored


@given(st.permutations(range(7)), st.lists(st.text(max_size=3), min_size=7, max_size=7))
def test_there_and_back(shown: list[int], said: list[str]):
    assert on_screen(stored(said, shown), shown) == stored(on_screen(said, shown), shown) == tuple(said)
    assert [on_screen(said, shown)[screen_place(place, shown)] for place in range(7)] == said
    assert all(shown[screen_place(place, shown)] == place for place in range(7))


def test_shown_as_stored():
    assert on_screen("abc", ()) == ("a", "b", "c") and screen_place(2, ()) == 2


def test_the_second_on_the_screen_is_b():
    assert letter_of(0, (2, 0, 1)) == "B" and letter_of(0, ()) == "A"
    assert [letter(n) for n in (0, 8, 25, 26)] == ["A", "I", "Z", "27"]


def test_something_must_be_said_of_each():
    with pytest.raises(ValueError):
        stored(["a"], (0, 1))


def test_responses_in_words():
    assert [lettered(n) for n in ([2], [0, 2])] == ["Response C", "Responses A and C"]
    assert [numbered(n) for n in ([2], [0, 2], [0, 1, 4])] == ["Response 3", "Responses 1 and 3", "Responses 1, 2 and 5"]


@pytest.mark.parametrize(
    ("k", "among", "said"),
    [
        (1, range(2, 10), "a task needs 2 to 9 responses; got 1"),
        (3, range(2, 3), "a task needs 2 responses; got 3"),
        (1, range(1), "a task needs no responses; got 1"),
    ],
)
def test_how_many_a_task_can_be_asked_about(k, among, said):
    with pytest.raises(UserError) as caught:
        fits(k, among, "a task")
    assert str(caught.value) == said
    fits(among[0], among, "a task")
