"""Answers to every task, drawn by hypothesis: what all tasks promise is tested on these."""

import string
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tutelage.feedback import tasks
from tutelage.feedback.tasks.pair import Pair
from tutelage.feedback.tasks.score import Score

TEXT = (
    st.text(string.printable + "éß中ا‮🙂", min_size=1, max_size=60)
    .map(lambda text: text.replace("\r", "").strip() or "x")
    .map(lambda text: "".join(sign for sign in text if sign >= " " or sign in "\t\n").strip() or "x")
)


@dataclass(frozen=True)
class Case:
    """An answer as plain JSON, to a task about k responses that were shown in some order, in a study with these options."""

    task: str
    answer: dict[str, Any]
    k: int
    shown: tuple[int, ...]
    options: Any

    @property
    def value(self) -> tasks.Answer:
        return tasks.load(self.task).from_answer(self.answer)


@st.composite
def cases(draw: st.DrawFn, task: str) -> Case:
    takes = tasks.load(task).responses
    k = draw(st.integers(takes[0], min(takes[-1], 12)))
    answer, options = draw(ANSWERS[task](k))
    return Case(task, answer, k, tuple(draw(st.permutations(range(k)))), options)


@st.composite
def rankings(draw: st.DrawFn, k: int) -> Any:
    order = draw(st.permutations(range(k)))
    tiers = [[order[0]]]
    for place in order[1:]:
        if draw(st.booleans()):
            tiers[-1] = sorted([*tiers[-1], place])
        else:
            tiers.append([place])
    return {"tiers": tiers}, tasks.load("ranking").Options()


def pairs(k: int) -> st.SearchStrategy[Any]:
    plain = st.sampled_from([0, 1, "tie", "both_bad"]).map(lambda winner: ({"winner": winner}, Pair.Options()))
    strong = st.tuples(st.sampled_from([0, 1]), st.sampled_from([1, 2, 3]))
    return plain | strong.map(lambda both: ({"winner": both[0], "strength": both[1]}, Pair.Options(strength=True)))


@st.composite
def scores(draw: st.DrawFn, k: int) -> Any:
    low, high = draw(st.sampled_from([(0.0, 10.0), (0.0, 100.0), (-1.0, 1.0), (3.0, 3.5)]))
    values = [round(low + (high - low) * draw(st.integers(0, 1000)) / 1000, 6) for _ in range(k)]
    return {"values": values, **({} if (low, high) == (0, 10) else {"low": low, "high": high})}, Score.Options(low, high)


def of(task: str, answers: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return answers.map(lambda answer: (answer, tasks.load(task).Options()))


ANSWERS = {
    "ranking": rankings,
    "pair": pairs,
    "score": scores,
    "likert": lambda k: of("likert", st.lists(st.integers(1, 7), min_size=k, max_size=k).map(lambda values: {"values": values})),
    "binary": lambda k: of("binary", st.lists(st.booleans(), min_size=k, max_size=k).map(lambda good: {"good": good})),
    "best_worst": lambda k: of("best_worst", st.permutations(range(k)).map(lambda order: {"best": order[0], "worst": order[1]})),
    "demonstration": lambda k: of("demonstration", TEXT.map(lambda text: {"text": text})),
    "edit": lambda k: of("edit", st.tuples(st.integers(0, k - 1), TEXT).map(lambda both: {"response": both[0], "text": both[1]})),
    "prompt": lambda k: of(
        "prompt",
        st.tuples(st.sampled_from(["plain", "few_shot"]), TEXT).map(lambda both: {"kind": both[0], "text": both[1]})
        | st.tuples(TEXT, TEXT).map(lambda both: {"kind": "use_case", "text": both[0], "use_case": both[1]}),
    ),
}
