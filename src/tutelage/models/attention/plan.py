"""Who sees whom in a stream: made once, for all layers and roles, by the processor and from the batch's structure alone, so that nothing
has to be asked of a GPU. Forms are brought to the device that computes.

A token sees its own segment up to itself, and all of its segment's ancestors. The stream is divided into equally long blocks; a way of
computing attention asks for the form that it needs (buckets, pairs, a dense mask), which is made when it is asked for, and kept.

T tokens (padded), S segments.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from tutelage.data.batch import PackedBatch

F = TypeVar("F")

ROUND = 128
"""Streams are padded to a multiple of this many tokens: matrix products of few shapes find their kernels made already."""


def padded(tokens: int) -> int:
    """The length of a stream, or of any rows that are multiplied, with its padding."""
    return -(-tokens // ROUND) * ROUND


@dataclass(frozen=True)
class Plan:
    """starts: each segment's first token, and the stream's end. lineages: each segment's ancestors, the eldest first, and itself.
    segment_T: padding is a segment that sees nothing. above_SS: may segment i's tokens see segment j's?"""

    starts: tuple[int, ...]
    lineages: tuple[tuple[int, ...], ...]
    segment_T: Tensor
    position_T: Tensor
    above_SS: Tensor
    forms: dict[Any, Any] = field(default_factory=dict[Any, Any], repr=False)

    def kept(self, name: Any, make: Callable[[], F]) -> F:
        """A form of this plan, made when it is first asked for."""
        if name not in self.forms:
            self.forms[name] = make()
        return self.forms[name]

    def position_on(self, device: torch.device) -> Tensor:
        """`position_T` on the device that computes."""
        if device.type == "cpu":
            return self.position_T
        return self.kept(("position", device), lambda: self.position_T.to(device, non_blocking=True))

    @cached_property
    def nested(self) -> bool:
        """Do every segment's descendants follow right behind it?"""
        return all(last - s + 1 == count for s, (last, count) in enumerate(zip(*self._below, strict=True)))

    @property
    def ends(self) -> Tensor:
        """[T] the place after the last that may see each token, where segments are nested; padding is seen by itself."""
        last_S = torch.tensor(self._below[0])
        end_S = torch.tensor(self.starts)[last_S + 1]
        padding = torch.arange(self.starts[-1], len(self.segment_T)) + 1
        return torch.cat([end_S[self.segment_T[: self.starts[-1]]], padding])

    @cached_property
    def _below(self) -> tuple[list[int], list[int]]:
        """Of each segment: the last that it is an ancestor of, and of how many, itself counted."""
        last, count = [0] * len(self.lineages), [0] * len(self.lineages)
        for s, lineage in enumerate(self.lineages):
            for a in lineage:
                last[a], count[a] = s, count[a] + 1
        return last, count

    @property
    def longest(self) -> int:
        """Tokens of the longest path from a root to a leaf."""
        return max(sum(self.starts[a + 1] - self.starts[a] for a in lineage) for lineage in self.lineages)

    def segments(self, block: range) -> list[int]:
        """The segments that some token of a block sees, in order."""
        first, last = int(self.segment_T[block[0]]), int(self.segment_T[block[-1]])
        return sorted({a for lineage in self.lineages[first : last + 1] for a in lineage})

    @cached_property
    def seen_TT(self) -> Tensor:
        """Token i may see token j; padding sees itself. Quadratic in T: for the oracle."""
        T = len(self.segment_T)
        seen_TT = self.above_SS[self.segment_T[:, None], self.segment_T[None]].tril()
        return seen_TT | torch.eye(T, dtype=torch.bool)


def plan(batch: PackedBatch) -> Plan:
    """The plan of a stream."""
    starts, parents = batch.start_S.tolist(), batch.parent_S.tolist()
    segment_T, position_T = _places(starts, parents)
    lineages = _lineages(parents)
    above_SS = torch.zeros(len(parents) + 1, len(parents) + 1, dtype=torch.bool)
    for s, lineage in enumerate(lineages):
        above_SS[s, list(lineage)] = True
    return Plan(tuple(starts), lineages, _padded(segment_T, len(parents)), _padded(position_T), above_SS)


def _places(starts: Sequence[int], parents: Sequence[int]) -> tuple[Tensor, Tensor]:
    """segment_T and position_T: those of the batch, which may lie on another device."""
    first: list[int] = []
    for parent in parents:
        first.append(first[parent] + starts[parent + 1] - starts[parent] if parent >= 0 else 0)
    start_S = torch.tensor(starts)
    segment_T = torch.arange(len(parents)).repeat_interleave(start_S.diff())
    return segment_T, torch.arange(starts[-1]) - (start_S[:-1] - torch.tensor(first))[segment_T]


def inputs(batch: PackedBatch) -> tuple[Tensor, Tensor]:
    """(ids, position_ids) [1, T]: a stream as models are given it."""
    return _padded(batch.tokens_T)[None], _padded(batch.position_T)[None]


def _padded(x_T: Tensor, value: int = 0) -> Tensor:
    return pad(x_T, (0, padded(len(x_T)) - len(x_T)), value=value)


def _lineages(parents: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    lineages: list[tuple[int, ...]] = []
    for s, parent in enumerate(parents):
        lineages.append((*lineages[parent], s) if parent >= 0 else (s,))
    return tuple(lineages)
