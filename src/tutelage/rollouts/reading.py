"""Reading many trees without gradient, in streams of bounded length, and handing the numbers back response by response.

One call reads everything that is wanted of every role, so each role's network runs once over each prompt and response.

Shape suffixes: M tokens the policy wrote, R responses, L tokens the policy wrote in one response.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from tutelage.data.batch import PackedBatch, filled, pack
from tutelage.data.tree import POLICY, Tree
from tutelage.rollouts.rollout import Reader

Array = NDArray[np.float64]
ANY = Tree((0,), ((0,),))
"""Read for company."""


@torch.no_grad()
def read_responses(policy: Reader, trees: Sequence[Tree], needs: Sequence[str], tokens: int = 8192) -> Mapping[str, list[Array]]:
    """For each need, one float64 array per response, in order: [L], or [1] for a score."""
    found: dict[str, list[Array]] = {need: [] for need in needs}
    streams = list(filled(trees, tokens)) if needs else []
    for batch in map(pack, streams):
        read = policy.read(batch, tuple(needs))
        for need in needs:
            found[need] += _by_response(read[need].double().cpu().numpy(), batch, whole=need.startswith("score"))
    for _ in range(policy.rounds(len(streams)) - len(streams) if needs else 0):
        policy.read(pack([ANY]), tuple(needs))  # others still read
    return found


def laid(writers: Sequence[int], numbers: Array) -> tuple[float, ...]:
    """[L] numbers of the policy's tokens, laid at their places among all tokens of a response; 0 elsewhere."""
    whole = np.zeros(len(writers))
    whole[np.asarray(writers) == POLICY] = numbers
    return tuple(whole.tolist())


def _by_response(numbers: Array, batch: PackedBatch, whole: bool) -> list[Array]:
    responses = len(batch.last_R)
    owner = np.arange(responses) if whole else batch.response_M.cpu().numpy()
    return [numbers[owner == n] for n in range(responses)]
