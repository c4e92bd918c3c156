"""Trees laid into one flat stream without padding, each prompt once.

Shape suffixes: T tokens of the stream, M trained tokens (those that some objective reads), S segments (prompts and responses),
R responses, P preferences.

A token's predecessor is not always the token before it: the first token of every response is predicted by the *prompt's last*
token. `previous_T` says which; `t - 1` would read another response's end.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tutelage.data.tree import OTHER, POLICY, Tree


@dataclass(frozen=True)
class PackedBatch:
    """The stream and what hangs on it.

    tokens_T what is read and target_T what is to be predicted at each place (the same ids; the invariants part them), position_T
    (continues from the prompt into each response), segment_T, previous_T (-1 where nothing predicts the
    token), trained_T; parent_S (-1 at a root), start_S [S + 1]; last_R the place of each response's last token, tree_R its tree;
    rows_M places of trained tokens, response_M the response each belongs to (-1: a trained token of a prompt). `columns` are
    named by what they are for, with the suffix of their shape; `counts` are the numbers that the engine divides each term by.
    """

    tokens_T: Tensor
    target_T: Tensor
    position_T: Tensor
    segment_T: Tensor
    previous_T: Tensor
    trained_T: Tensor
    parent_S: Tensor
    start_S: Tensor
    last_R: Tensor
    tree_R: Tensor
    rows_M: Tensor
    response_M: Tensor
    trees: int
    part: str = ""
    temperature: float = 1.0
    """Logits are divided by it before log-probabilities are read: what rollouts were sampled at."""
    columns: Mapping[str, Tensor] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    brought: Mapping[str, Tensor] = field(default_factory=dict)
    """[M] readings that the trees brought with them, by their names in a read ("logp@reference"): made once, of a role that doesn't
    train, and not made again."""

    def to(self, device: torch.device) -> "PackedBatch":
        """The batch on `device`, which may be under way: nothing waits for it. What says which segments there are (parent_S, start_S) stays
        where it is: plans are made from it, by the processor, and nothing else reads it."""
        if self.tokens_T.device == device:
            return self
        structure = ("parent_S", "start_S")
        moved = {name: x.to(device, non_blocking=True) for name, x in vars(self).items() if isinstance(x, Tensor) and name not in structure}
        columns, brought = ({name: x.to(device, non_blocking=True) for name, x in of.items()} for of in (self.columns, self.brought))
        return replace(self, **moved, columns=columns, brought=brought)

    @property
    def targets_M(self) -> Tensor:
        """The tokens to be predicted: those at trained places, and no others."""
        return self.target_T[self.rows_M]

    def __getitem__(self, name: str) -> Tensor:
        return self.columns[name]

    def with_columns(self, **columns: Tensor) -> "PackedBatch":
        return replace(self, columns={**self.columns, **columns})

    def counting(self, **counts: float) -> "PackedBatch":
        return replace(self, counts={**self.counts, **counts})

    def sum_R(self, x_M: Tensor) -> Tensor:
        """Sum of a per-token quantity over each response. Trained prompt tokens belong to none."""
        # They go to a place of their own: to leave them out, a GPU would have to be asked how many there are.
        owner_M = self.response_M.where(self.response_M >= 0, len(self.last_R))
        return x_M.new_zeros(len(self.last_R) + 1).index_add(0, owner_M, x_M)[:-1]


@dataclass
class _Stream:
    """A stream while it is being laid: one list per column, a value per token or per segment."""

    tokens: list[int] = field(default_factory=list[int])
    position: list[int] = field(default_factory=list[int])
    segment: list[int] = field(default_factory=list[int])
    previous: list[int] = field(default_factory=list[int])
    trained: list[bool] = field(default_factory=list[bool])
    response: list[int] = field(default_factory=list[int])
    parents: list[int] = field(default_factory=list[int])
    starts: list[int] = field(default_factory=list[int])

    def lay(self, ids: Sequence[int], writers: Sequence[int], parent: int = -1, first: int = 0, owner: int = -1) -> int:
        """Append a segment that continues `parent` at position `first`; its number. Its first token is predicted by the parent's
        last, which was the last token laid before this one's siblings."""
        start, number = len(self.tokens), len(self.parents)
        before = self.end(parent) if parent >= 0 else -1
        self.tokens += ids
        self.position += range(first, first + len(ids))
        self.segment += [number] * len(ids)
        self.previous += [before, *range(start, start + len(ids) - 1)]
        self.trained += [writer == POLICY for writer in writers]
        self.response += [owner] * len(ids)
        self.parents.append(parent)
        self.starts.append(start)
        return number

    def end(self, segment: int) -> int:
        """The place of a segment's last token."""
        return (self.starts[segment + 1] if segment + 1 < len(self.starts) else len(self.tokens)) - 1


def filled(trees: Sequence[Tree], tokens: int) -> Iterator[list[Tree]]:
    """Trees in order, stream by stream: as many as fit into `tokens`; a longer one has a stream to itself."""
    stream: list[Tree] = []
    length = 0
    for tree in trees:
        if stream and length + tree.length > tokens:
            yield stream
            stream, length = [], 0
        stream.append(tree)
        length += tree.length
    if stream:
        yield stream


def pack(trees: Sequence[Tree], shared: bool = True) -> PackedBatch:
    """Lay `trees` one after another: prompt, then its responses. A tree without a prompt has its response as root.

    `shared=False` repeats the prompt before each response: the same numbers (trained prompt tokens count once), for models whose
    attention can't read trees, and for the tests that hold the two equal.
    """
    stream = _Stream()
    last: list[int] = []
    tree_of: list[int] = []
    for n, tree in enumerate(trees):
        root = stream.lay(tree.prompt, tree.prompt_writers) if tree.prompt else -1
        for k, (ids, writers) in enumerate(zip(tree.responses, tree.writers, strict=True)):
            if k and tree.prompt and not shared:
                root = stream.lay(tree.prompt, (OTHER,) * len(tree.prompt))
            stream.lay(ids, writers, root, len(tree.prompt), owner=len(last))
            last.append(len(stream.tokens) - 1)
            tree_of.append(n)
    return _batch(stream, last, tree_of, trees)


def _batch(stream: _Stream, last: list[int], tree_of: list[int], trees: Sequence[Tree]) -> PackedBatch:
    previous_T = torch.tensor(stream.previous)
    trained_T = torch.tensor(stream.trained) & (previous_T >= 0)
    rows_M = trained_T.nonzero()[:, 0]
    return PackedBatch(
        tokens_T=torch.tensor(stream.tokens),
        target_T=torch.tensor(stream.tokens),
        position_T=torch.tensor(stream.position),
        segment_T=torch.tensor(stream.segment),
        previous_T=previous_T,
        trained_T=trained_T,
        parent_S=torch.tensor(stream.parents),
        start_S=torch.tensor([*stream.starts, len(stream.tokens)]),
        last_R=torch.tensor(last, dtype=torch.long),
        tree_R=torch.tensor(tree_of, dtype=torch.long),
        rows_M=rows_M,
        response_M=torch.tensor(stream.response)[rows_M],
        trees=len(trees),
        part=trees[0].part,
        brought=_brought(trees),
    )


def _brought(trees: Sequence[Tree]) -> dict[str, Tensor]:
    """Per-token columns that are named as readings of a role."""
    names = sorted({name for tree in trees for name in tree.columns if "@" in name})
    for name in names:
        if any(name not in tree.columns for tree in trees):
            raise ValueError(f"some trees bring {name} with them and some don't; all of a stream must")
    return {name: token_column(trees, name) for name in names}


def token_column(trees: Sequence[Tree], name: str, dtype: torch.dtype = torch.float64) -> Tensor:
    """[M] a column given per response token, at the trained tokens of `pack(trees)`. Trained prompt tokens are refused."""
    values: list[float] = []
    for tree in trees:
        if POLICY in tree.prompt_writers:
            raise ValueError(f"column {name}: a per-token column needs an untrained prompt")
        for k, writers in enumerate(tree.writers):
            skip = 0 if tree.prompt else 1
            values += [x for x, w in list(zip(tree.columns[name][k], writers, strict=True))[skip:] if w == POLICY]
    return torch.tensor(values, dtype=dtype)


def response_column(trees: Sequence[Tree], name: str, dtype: torch.dtype = torch.float64) -> Tensor:
    """[R] a column given per response."""
    return torch.tensor([x for tree in trees for x in tree.columns[name]], dtype=dtype)
