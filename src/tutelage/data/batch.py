"""Trees laid into one flat stream without padding, each prompt once.

Shape suffixes: T tokens of the stream, M trained tokens (those that some objective reads), S segments (prompts and responses),
R responses, P preferences.

A token's predecessor is not always the token before it: the first token of every response is predicted by the *prompt's last*
token. `previous_T` says which; `t - 1` would read another response's end.
"""

from collections.abc import Mapping, Sequence
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
        own_M = self.response_M >= 0
        return x_M.new_zeros(len(self.last_R)).index_add(0, self.response_M[own_M], x_M[own_M])


def pack(trees: Sequence[Tree], shared: bool = True) -> PackedBatch:
    """Lay `trees` one after another: prompt, then its responses. A tree without a prompt has its response as root.

    `shared=False` repeats the prompt before each response: the same numbers (trained prompt tokens count once), for models whose
    attention can't read trees, and for the tests that hold the two equal.
    """
    tokens: list[int] = []
    position: list[int] = []
    segment: list[int] = []
    previous: list[int] = []
    trained: list[bool] = []
    response: list[int] = []
    parents: list[int] = []
    starts: list[int] = []
    last: list[int] = []
    tree_of: list[int] = []

    def lay(ids: Sequence[int], writers: Sequence[int], first: int, before: int, parent: int, owner: int) -> None:
        start = len(tokens)
        tokens.extend(ids)
        position.extend(range(first, first + len(ids)))
        segment.extend([len(parents)] * len(ids))
        previous.extend([before, *range(start, start + len(ids) - 1)])
        trained.extend(w == POLICY for w in writers)
        response.extend([owner] * len(ids))
        parents.append(parent)
        starts.append(start)

    for n, tree in enumerate(trees):
        root, before = -1, -1
        if tree.prompt:
            root = len(parents)
            lay(tree.prompt, tree.prompt_writers, 0, -1, -1, -1)
            before = len(tokens) - 1
        for k, (ids, writers) in enumerate(zip(tree.responses, tree.writers, strict=True)):
            if k and tree.prompt and not shared:
                root = len(parents)
                lay(tree.prompt, (OTHER,) * len(tree.prompt), 0, -1, -1, -1)
                before = len(tokens) - 1
            lay(ids, writers, len(tree.prompt), before, root, len(last))
            last.append(len(tokens) - 1)
            tree_of.append(n)
    previous_T = torch.tensor(previous)
    trained_T = torch.tensor(trained) & (previous_T >= 0)
    rows_M = trained_T.nonzero()[:, 0]
    return PackedBatch(
        tokens_T=torch.tensor(tokens),
        target_T=torch.tensor(tokens),
        position_T=torch.tensor(position),
        segment_T=torch.tensor(segment),
        previous_T=previous_T,
        trained_T=trained_T,
        parent_S=torch.tensor(parents),
        start_S=torch.tensor([*starts, len(tokens)]),
        last_R=torch.tensor(last, dtype=torch.long),
        tree_R=torch.tensor(tree_of, dtype=torch.long),
        rows_M=rows_M,
        response_M=torch.tensor(response)[rows_M],
        trees=len(trees),
        part=trees[0].part,
    )


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
