"""Which trees a step learns from: a pure function of (seed, step), so resuming needs a step's number and nothing else.

Annotations and rollouts come as steps of N examples (`batches`). Text comes as steps of about N tokens (`Packing`): an epoch is
shuffled, laid end to end and divided into equally long windows of a few streams; within a window trees go longest first, each
into the stream that is emptiest (Graham 1969), so all streams come out about equally long. Best fit would bound a stream and leave
the last ones half empty; equal streams give every step the same weight, and every epoch the same number of steps, so
that step i is found without replaying the epochs before it.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Generic, TypeVar

from tutelage.core.errors import UserError
from tutelage.core.randomness import permutation
from tutelage.data.tree import Tree

T = TypeVar("T")


def cut(tree: Tree, context: int) -> list[Tree]:
    """A document in pieces of at most `context` tokens. Each begins with the last token of the one before, which predicts the
    piece's first new one, so every token but the document's first is trained exactly once. Only the last piece is finished."""
    if tree.length <= context:
        return [tree]
    if tree.prompt or len(tree.responses) != 1 or context < 2:
        raise ValueError("only a document (no prompt, one response) can be cut, into pieces of 2 tokens or more")
    (ids,), (writers,), (finished,) = tree.responses, tree.writers, tree.finished
    starts = range(0, len(ids) - 1, context - 1)
    return [
        replace(
            tree,
            responses=(ids[at : at + context],),
            writers=(writers[at : at + context],),
            finished=(finished and at == starts[-1],),
            id=f"{tree.id}+{at}",
        )
        for at in starts
    ]


def streams(trees: Sequence[Tree], tokens_per_stream: int, window: int, seed: int, epoch: int) -> list[list[Tree]]:
    """One epoch in steps of about `tokens_per_stream` tokens (never fewer on average), each tree once.

    `window` is in streams: wider ones come out more equal, narrower ones closer to the shuffled order. UserError when a tree is
    longer than a stream."""
    plan = _plan(tuple(tree.length for tree in trees), tokens_per_stream, window, seed, epoch)
    return [[trees[n] for n in stream] for stream in plan]


@dataclass(frozen=True)
class Packing:
    """Endless steps of about `tokens` tokens; `at(step)` says which trees a step learns from, for any step in any order."""

    trees: tuple[Tree, ...]
    tokens: int
    """Tokens per step; at least the longest tree."""
    window: int = 16
    """Streams that are packed together, 1 or more."""
    seed: int = 0

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        return tuple(tree.length for tree in self.trees)

    @property
    def steps(self) -> int:
        """Steps per epoch, the same in each."""
        return steps_of(self.lengths, self.tokens)

    def at(self, step: int) -> list[Tree]:
        epoch, stream = divmod(step, self.steps)
        return [self.trees[n] for n in _plan(self.lengths, self.tokens, self.window, self.seed, epoch)[stream]]


def batches(trees: Sequence[T], batch_size: int, seed: int, step: int) -> list[T]:
    """The examples of a step: `batch_size` of them, epoch after epoch, each epoch in an order of its own."""
    if not trees:
        raise UserError("there are no examples to learn from")
    places = range(step * batch_size, (step + 1) * batch_size)
    return [trees[_order(len(trees), seed, place // len(trees))[place % len(trees)]] for place in places]


@dataclass(frozen=True)
class Rows(Generic[T]):
    """Steps of `batch` rows, each with its examples; an epoch's last step has what is left of it. `at(step)` for any step in any order."""

    rows: tuple[tuple[T, ...], ...]
    batch: int
    seed: int = 0

    @property
    def steps(self) -> int:
        """Steps per epoch, the same in each."""
        return -(-len(self.rows) // self.batch)

    def at(self, step: int) -> list[T]:
        epoch, number = divmod(step, self.steps)
        order = _order(len(self.rows), self.seed, epoch)
        return [one for place in order[number * self.batch : (number + 1) * self.batch] for one in self.rows[place]]


def steps_of(lengths: Sequence[int], tokens: int) -> int:
    """Steps per epoch. UserError when there is nothing to learn from, or a tree is longer than a step."""
    if not lengths:
        raise UserError("there is no text to learn from")
    if max(lengths) > tokens:
        raise UserError(f"tokens per step: {tokens} is less than the longest example, which has {max(lengths)}")
    return max(1, sum(lengths) // tokens)


@lru_cache(maxsize=4)
def _plan(lengths: tuple[int, ...], tokens: int, window: int, seed: int, epoch: int) -> tuple[tuple[int, ...], ...]:
    """Places of trees by stream. A stream's share of the epoch is at least the longest tree, so none is empty."""
    count, total, start = steps_of(lengths, tokens), sum(lengths), 0
    members: list[list[int]] = [[] for _ in range(0, count, window)]
    for n in permutation(len(lengths), "packing", seed, epoch):
        members[start * count // total // window].append(n)
        start += lengths[n]
    plan: list[tuple[int, ...]] = []
    for group, places in enumerate(members):
        plan += _spread(places, lengths, min(window, count - group * window))
    return tuple(plan)


def _spread(places: Sequence[int], lengths: Sequence[int], count: int) -> list[tuple[int, ...]]:
    """`places` in `count` streams of about equal length: longest first, each into the emptiest."""
    filled = [(0, stream) for stream in range(count)]
    contents: list[list[int]] = [[] for _ in range(count)]
    for n in sorted(places, key=lambda n: -lengths[n]):
        length, stream = heapq.heappop(filled)
        contents[stream].append(n)
        heapq.heappush(filled, (length + lengths[n], stream))
    return [tuple(stream) for stream in contents]


@lru_cache(maxsize=4)
def _order(n: int, seed: int, epoch: int) -> tuple[int, ...]:
    return tuple(permutation(n, "batches", seed, epoch))
