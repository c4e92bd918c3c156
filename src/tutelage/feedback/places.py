"""Places of responses: on the screen, where each person sees them in another order, and stored, in the annotation's own order.

    shown[place on the screen] = place stored            on_screen(x)[n] = x[shown[n]]            stored(y)[shown[n]] = y[n]

An answer is stored by place in the annotation's responses, so that answers of several people to one item can be compared; a form,
what a person reads about it and what a page posts are by place on the screen. Only the functions here cross from one to the other.
"""

from collections.abc import Sequence
from typing import TypeVar

from tutelage.core.errors import UserError

T = TypeVar("T")


def stored(said: Sequence[T], shown: Sequence[int]) -> tuple[T, ...]:
    """What was said of each place on the screen, by place stored. ValueError unless there is one for each."""
    by_place = dict(zip(shown, said, strict=True))
    return tuple(by_place[place] for place in range(len(shown)))


def on_screen(said: Sequence[T], shown: Sequence[int]) -> tuple[T, ...]:
    """What is said of each place stored, by place on the screen; an empty `shown`: as stored."""
    return tuple(said[place] for place in shown) if shown else tuple(said)


def screen_place(place: int, shown: Sequence[int]) -> int:
    """Where on the screen the response at a place is; an empty `shown`: as stored."""
    return shown.index(place) if shown else place


def letter(place: int) -> str:
    """The name of a response on the screen: A, B, ... Z, then 27, 28, ..."""
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def letter_of(place: int, shown: Sequence[int]) -> str:
    """The name on the screen of the response at a place stored."""
    return letter(screen_place(place, shown))


def numbered(places: Sequence[int]) -> str:
    """Responses on the screen by the digits that are typed: "Response 3", "Responses 1, 3 and 4"."""
    return _responses([str(place + 1) for place in places])


def lettered(places: Sequence[int]) -> str:
    """Responses on the screen by the letters of their cards: "Response C", "Responses A, C and D"."""
    return _responses([letter(place) for place in places])


def _responses(names: Sequence[str]) -> str:
    return f"Response {names[0]}" if len(names) == 1 else f"Responses {', '.join(names[:-1])} and {names[-1]}"


def fits(k: int, responses: range, task: str) -> None:
    """UserError unless a task of so many responses can be asked about k of them. `task` with its article: "a ranking"."""
    if k in responses:
        return
    fewest, most = responses[0], responses[-1]
    needed = "no responses" if most == 0 else f"{fewest} responses" if fewest == most else f"{fewest} to {most} responses"
    raise UserError(f"{task} needs {needed}; got {k}")
