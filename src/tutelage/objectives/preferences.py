"""What preference objectives share: pairs laid over responses, and the Bradley-Terry loss of a difference.

    L = - sum over pairs of weight * [ p log sigmoid(x) + (1 - p) log sigmoid(-x) ],   x = reward_w - reward_l - margin

p = 1 says that the winner is surely better (Bradley and Terry 1952; InstructGPT, arXiv 2203.02155, eq. 1); p < 1 is a judge's
probability (label smoothing, arXiv 2305.18290 appendix). One unit = one annotation: its pairs' weights sum to 1, so a ranking of
nine weighs as much as one pair, and an annotation whose responses are all tied teaches nothing and is no unit.

R responses, P preferences.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from tutelage.data.batch import PackedBatch, pack
from tutelage.data.tree import Tree


def collate_preferences(trees: Sequence[Tree]) -> PackedBatch:
    """Trees with a column "preferences": ((winner, loser, weight, margin, probability), ...) and a column "weight" (default 1),
    the annotation's own. Sets pairs_P2, weight_P, margin_P, probability_P and counts "preference" and "agree"."""
    pairs: list[list[int]] = []
    values: list[list[float]] = []
    first, units = 0, 0.0
    for tree in trees:
        own = float(tree.columns.get("weight", 1.0))
        for winner, loser, weight, margin, probability in tree.columns["preferences"]:
            pairs.append([first + winner, first + loser])
            values.append([own * weight, margin, probability])
        units += own if tree.columns["preferences"] else 0.0
        first += len(tree.responses)
    values_P3 = torch.tensor(values, dtype=torch.float64).reshape(-1, 3)
    return (
        pack(trees)
        .with_columns(
            pairs_P2=torch.tensor(pairs, dtype=torch.long).reshape(-1, 2),
            weight_P=values_P3[:, 0],
            margin_P=values_P3[:, 1],
            probability_P=values_P3[:, 2],
        )
        .counting(preference=units, agree=units)
    )


def preference_sums(reward_R: Tensor, batch: PackedBatch, margin: float = 0.0) -> dict[str, Tensor]:
    """The loss "preference", and "agree": the weight of pairs on whose order the rewards agree (ties count half)."""
    winner_P, loser_P = reward_R[batch["pairs_P2"]].unbind(-1)
    weight_P, probability_P = (batch[name].to(reward_R.dtype) for name in ("weight_P", "probability_P"))
    x_P = winner_P - loser_P - batch["margin_P"].to(reward_R.dtype) - margin
    loss_P = -(probability_P * logsigmoid(x_P) + (1 - probability_P) * logsigmoid(-x_P))
    ahead_P = ((winner_P > loser_P).to(reward_R.dtype) + (winner_P >= loser_P).to(reward_R.dtype)) / 2
    return {"preference": (weight_P * loss_P).sum(), "agree": (weight_P * ahead_P.detach()).sum()}


def preference_specimens() -> list[Tree]:
    """A ranking of four with a tie, a pair, a weak pair of one-token responses with a margin, a cut response, an all-tied tree."""
    return [
        Tree(
            (3, 9, 11, 7),
            ((12, 15, 0), (21, 0), (33, 34, 35, 36, 0), (40, 41, 42)),
            finished=(True, True, True, False),
            columns={"preferences": tuple((winner, loser, 0.2, 0.0, 1.0) for winner, loser in ((2, 0), (2, 1), (2, 3), (0, 3), (1, 3)))},
        ),
        Tree((3, 5), ((17, 18, 0), (19, 0)), columns={"preferences": ((1, 0, 1.0, 0.0, 0.8),), "weight": 0.5}),
        Tree((3, 5, 6, 7, 8, 9), ((0,), (50,)), finished=(True, False), columns={"preferences": ((0, 1, 1.0, 0.3, 1.0),)}),
        Tree((3, 44), ((45, 0), (46, 0), (47, 48, 0)), columns={"preferences": ()}),
    ]
