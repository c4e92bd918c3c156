"""Answers to read beside the figures, picked by rule and never by hand."""

from collections.abc import Mapping, Sequence

from tutelage.core.text import Prompt
from tutelage.evals.compare import shared
from tutelage.evals.eval import Answer, Result, Subject, family
from tutelage.evals.findings import Example, Shown, pretty

LONGEST = 4000
"""Characters of a text that the page shows; what is cut is said."""


def best_median_worst(main: Subject, before: Subject | None, own: Result, other: Result | None) -> tuple[tuple[Example, ...], str]:
    """Three prompts by how much `main` gained on `before` (by its value alone, without one), and how they were picked.

    `own` and `other` are results over `material.prompts` with one answer each. Ties are in the order of the prompts' ids.
    """
    if before is not None and other is not None:
        gains = {a.prompt: a.value - b.value for a, b in shared(own, other)}
        rule = f"Sorted by how much {pretty(main.stage)} gained on {pretty(before.stage)}: the first, the middle and the last of"
        headings = ("Gained most", "In the middle", "Lost most")
    else:
        gains = {sample.prompt: sample.value for sample in own.samples}
        rule, headings = "Sorted by value: the first, the middle and the last of", ("Best", "In the middle", "Worst")
    order = sorted(gains, key=lambda prompt: (-gains[prompt], prompt))
    places = dict.fromkeys((0, len(order) // 2, len(order) - 1))
    results = [(main, own), *([(before, other)] if before is not None and other is not None else [])]
    values = {subject.stage: {s.prompt: s.value for s in result.samples} for subject, result in results}
    subjects = [subject for subject in (before, main) if subject is not None]
    said = answered(subjects, main.material.prompts)
    prompts = {prompt.id: prompt for prompt in main.material.prompts}
    examples = tuple(
        example(heading, prompts[order[place]], said, {stage: f"{v[order[place]]:.2f}" for stage, v in values.items() if order[place] in v})
        for heading, place in zip(headings, places, strict=False)
    )
    return examples, f"{rule} {len(order):,} prompts; none was picked by hand."


def first(subjects: Sequence[Subject], n: int = 10) -> tuple[tuple[Example, ...], str]:
    """The first `n` prompts with every subject's answer: before and after."""
    prompts = subjects[0].material.prompts[:n]
    said = answered(subjects, prompts)
    examples = tuple(example(f"{place}", prompt, said, {}) for place, prompt in enumerate(prompts, 1))
    return examples, f"The first {len(prompts)} prompts of the eval split; none was picked by hand."


def answered(subjects: Sequence[Subject], prompts: Sequence[Prompt]) -> dict[str, dict[str, Answer]]:
    """{stage: {prompt id: answer}}."""
    return {s.stage: {p.id: a for p, (a,) in zip(prompts, s.answers(prompts), strict=True)} for s in subjects}


def example(heading: str, prompt: Prompt, said: Mapping[str, Mapping[str, Answer]], notes: Mapping[str, str]) -> Example:
    turns = prompt.messages
    text = turns[0].text if len(turns) == 1 else "\n".join(f"{pretty(turn.role)}: {turn.text}" for turn in turns)
    shown = []
    for stage, answers in said.items():
        answer = answers[prompt.id]
        note = ", ".join(filter(None, (notes.get(stage, ""), "" if answer.finished else "cut at the length limit")))
        shown.append(Shown(stage, cut(answer.text), note))
    return Example(heading, cut(text), tuple(shown), family(prompt))


def cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\u2026 ({len(text) - LONGEST:,} more characters)"
