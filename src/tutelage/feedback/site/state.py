"""What the admin's first page tells: the manager's sentence, plots, a row for each person."""

from collections.abc import Sequence
from dataclasses import dataclass

from tutelage.feedback.site.plots import Plot
from tutelage.feedback.site.site import Site


@dataclass(frozen=True)
class Row:
    """One person's figures."""

    name: str
    cells: tuple[str, ...]
    remark: str


@dataclass(frozen=True)
class State:
    """A study's state as its page shows it."""

    first_line: str
    plots: Sequence[Plot]
    people: Sequence[Row]
    columns: Sequence[str]


def state_of(site: Site) -> State:
    """The state of the study as it is now."""
    done = site.store.annotators()
    return State(f"{sum(done.values())} answers.", (), [Row(name, (str(n),), "") for name, n in done.items()], ("Answers",))


def hours(site: Site) -> str:
    """Hours per person as CSV."""
    return "person,hours\n"
