"""Prompts are split once, by the hash of what they say: a prompt asked again lands where it was, in any file and any order.

The splits are for demonstrations (sft), annotation (label), reinforcement learning (rl) and measurement (eval). A prompt that two
of them see makes the measurement worthless, so a leak stops the run.
"""

from collections.abc import Iterable, Mapping

from tutelage.core.errors import UserError
from tutelage.core.randomness import uniforms
from tutelage.core.settings import closest
from tutelage.core.text import Prompt

SPLITS = ("sft", "label", "rl", "eval")


def split_of(prompt_id: str, seed: int, shares: Mapping[str, float]) -> str:
    """The split of one prompt. `shares` are fractions that sum to 1, of some of SPLITS; their order doesn't matter. UserError for
    other names, negative shares or another sum."""
    check(shares)
    at, reached, split = float(uniforms(1, "split", seed, prompt_id)[0]), 0.0, ""
    for name in SPLITS:
        if shares.get(name, 0.0) > 0:
            split, reached = name, reached + shares[name]
            if at < reached:
                break
    return split


def split(prompts: Iterable[Prompt], seed: int, shares: Mapping[str, float]) -> dict[str, list[Prompt]]:
    """All of `prompts`, each once, by split, in their order."""
    check(shares)
    parts: dict[str, list[Prompt]] = {name: [] for name in SPLITS if name in shares}
    for prompt in unique(prompts):
        parts[split_of(prompt.id, seed, shares)].append(prompt)
    return parts


def check(shares: Mapping[str, float]) -> None:
    """UserError unless `shares` are fractions of known splits that sum to 1."""
    for name, share in shares.items():
        if name not in SPLITS:
            raise UserError(f"shares: there is no split {name!r}{closest(name, SPLITS) or '; there are ' + ', '.join(SPLITS)}")
        if not 0 <= share <= 1:
            raise UserError(f"shares.{name}: a share is from 0 to 1; got {share}")
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise UserError(f"shares: must sum to 1; {dict(shares)} sum to {sum(shares.values()):g}")


def unique(prompts: Iterable[Prompt]) -> list[Prompt]:
    """Each prompt once, where it stands first. Tags make no difference."""
    first: dict[str, Prompt] = {}
    for prompt in prompts:
        first.setdefault(prompt.id, prompt)
    return list(first.values())


def leak(uses: Mapping[str, Iterable[Prompt]]) -> None:
    """UserError when a prompt is in two of `uses` (what it is used for -> prompts), naming the prompt and both uses."""
    seen: dict[str, str] = {}
    for use, prompts in uses.items():
        for prompt in prompts:
            first = seen.setdefault(prompt.id, use)
            if first != use:
                raise UserError(
                    f"prompt {prompt.id} ({prompt.last[:60]!r}) leaks: it is used for {first!r} and for {use!r}; "
                    f"take it out of one, or let both be split by hash with one seed"
                )
