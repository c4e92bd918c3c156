"""A prompt and the responses that hang from it, as token ids: what every objective's `collate` eats. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OTHER, POLICY = 0, 1
"""Who wrote a token: a user, a tool or the template (0, never trained), or the policy itself (1, trained)."""


@dataclass(frozen=True)
class Tree:
    """One prompt, K responses (1 for SFT, 2 for DPO, 4-9 for a ranking, G for RLOO/GRPO).

    `responses[k]` holds ids, `writers[k]` who wrote each of them (OTHER or POLICY), `finished[k]` whether the response ended by
    itself: its last id is then the end token, and trained. `columns` carry what an objective needs beside tokens: one value per
    tree, a tuple of K values, or a tuple of K tuples with a value for each token of a response. A column of the last kind that is
    named as a reading ("logp@reference") stands for it: what was read once, of a role that doesn't train, is not read again.
    """

    prompt: tuple[int, ...]
    responses: tuple[tuple[int, ...], ...]
    writers: tuple[tuple[int, ...], ...] = ()
    finished: tuple[bool, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    prompt_writers: tuple[int, ...] = ()
    part: str = ""
    """Which part of a mixed objective this tree is for; trees of different parts never share a stream."""
    id: str = ""

    def __post_init__(self) -> None:
        if not self.writers:
            object.__setattr__(self, "writers", tuple((POLICY,) * len(r) for r in self.responses))
        if not self.finished:
            object.__setattr__(self, "finished", (True,) * len(self.responses))
        if not self.prompt_writers:
            object.__setattr__(self, "prompt_writers", (OTHER,) * len(self.prompt))
        lengths = [len(r) for r in self.responses]
        if lengths != [len(w) for w in self.writers] or len(self.finished) != len(lengths) or 0 in lengths:
            raise ValueError(f"a tree needs a writer for each token and a token in each response; got lengths {lengths}")

    @property
    def length(self) -> int:
        """Tokens in the stream: the prompt once, each response once."""
        return len(self.prompt) + sum(map(len, self.responses))
