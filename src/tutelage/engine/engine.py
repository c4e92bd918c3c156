"""One loop for every objective: read, add up, divide once, clip, step.

    gradient = sum over terms of  weight[term] * d( sum of the term over the optimiser batch ) / count[term]

Counts are fixed by `collate` and added over micro-batches and processes *before* the first backward pass; this file holds the
only division. So neither the size of a micro-batch, nor the number of processes, nor how trees are packed can change the
gradient (tests/engine/test_invariants.py holds every objective to it).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tutelage.data.batch import PackedBatch, filled
from tutelage.data.tree import Tree
from tutelage.engine.optimizers import optimizers
from tutelage.engine.ranks import Ranks
from tutelage.engine.rates import Rates
from tutelage.models.policy import Policy
from tutelage.objectives.objective import Objective


def split(trees: Sequence[Tree], tokens: int) -> list[list[Tree]]:
    """Micro-batches of at most `tokens` stream tokens (one larger tree stands alone), each of one part."""
    parts = dict.fromkeys(tree.part for tree in trees)
    return [batch for part in parts for batch in filled([tree for tree in trees if tree.part == part], tokens)]


class Engine:
    """Trains `policy` on `objective`. `rates` by role; a trained role without rates of its own takes those of "policy"."""

    def __init__(
        self,
        policy: Policy,
        objective: Objective,
        rates: Mapping[str, Rates] | None = None,
        micro_tokens: int = 4096,
        ranks: Ranks | None = None,
    ) -> None:
        self.policy, self.objective = policy, objective
        self.micro_tokens, self.ranks = micro_tokens, ranks or Ranks()
        self.parameters = policy.trainable()
        given = rates or {}
        self.rates = {role: given.get(role, given.get("policy", Rates())) for role in self.parameters}
        self.optimizers = optimizers(self.parameters, self.rates, policy.word_vectors())

    def gradients(self, trees: Sequence[Tree]) -> dict[str, float]:
        """Set every trained parameter's gradient for this optimiser batch (all processes' examples); each sum / count by name."""
        batches = [self.objective.collate(part) for part in split(self.ranks.share(trees), self.micro_tokens)]
        batches = [batch.to(self.policy.device) for batch in self._prepared(batches)]
        counts = self.ranks.sum_counts(_added([batch.counts for batch in batches]))
        weights = self.objective.terms
        found: list[dict[str, Tensor]] = []
        for batch in batches:
            sums = self.objective.loss(self._read(batch, _needs(self.objective, batch)), batch)
            terms = [weights[name] / counts[name] * sums[name] for name in weights if name in sums and counts[name]]
            if terms:
                _total(terms).backward()
            found.append({name: value.detach() for name, value in sums.items()})
        self.ranks.sum_gradients(p for parameters in self.parameters.values() for p in parameters)
        told = self.ranks.sum_counts(_numbers(found, dict.fromkeys(counts, 0.0)))
        return {name: value / counts[name] for name, value in told.items() if counts[name]}

    def step(self, trees: Sequence[Tree], step: int, steps: int) -> dict[str, float]:
        """One optimiser step, `step` of `steps`. Raises FloatingPointError, weights untouched, when a gradient is not finite."""
        told = self.gradients(trees)
        for role, parameters in self.parameters.items():
            norm = float(nn.utils.clip_grad_norm_(parameters, self.rates[role].clip))
            if not torch.isfinite(torch.tensor(norm)):
                raise FloatingPointError(f"step {step}: the gradient of role {role!r} is not finite ({norm})")
            told["grad_norm" if role == "policy" else f"grad_norm@{role}"] = norm
        for role, rates in self.rates.items():
            told["learning_rate" if role == "policy" else f"learning_rate@{role}"] = rates.at(step, steps)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.rates[group["role"]].at(step, steps)
            optimizer.step()
        self.policy.refresh()
        self.forget()
        return told

    def forget(self) -> None:
        """Drop all gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def _read(self, batch: PackedBatch, needs: Sequence[str]) -> dict[str, Tensor]:
        """What the batch brought with it as it is, the rest in one traversal a role."""
        read = self.policy.read(batch, [need for need in needs if need not in batch.brought])
        dtype = next((x.dtype for x in read.values()), torch.float64)
        return {**read, **{need: batch.brought[need].to(self.policy.device, dtype) for need in needs if need in batch.brought}}

    def _prepared(self, batches: list[PackedBatch]) -> list[PackedBatch]:
        """Joint statistics enter as constants: computed over all processes' batches before the first loss, by the processor, where numbers
        of all processes meet."""
        needs = self.objective.prepare_needs
        if not needs:
            return batches
        with torch.no_grad():
            own = [({name: x.cpu() for name, x in self._read(batch, needs).items()}, batch) for batch in batches]
        everyone = self.ranks.gather(own)
        columns = self.objective.prepare([read for read, _ in everyone], [batch for _, batch in everyone])
        first = sum(self.ranks.gather([len(own)])[: self.ranks.rank])
        return [_joined(batch, added) for batch, added in zip(batches, columns[first : first + len(own)], strict=True)]

    def state(self) -> dict[str, Any]:
        """Trained weights and the optimizer's moments."""
        weights = {role: [p.detach() for p in parameters] for role, parameters in self.parameters.items()}
        return {"weights": weights, "optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Any]) -> None:
        for role, parameters in self.parameters.items():
            for p, saved in zip(parameters, state["weights"][role], strict=True):
                p.copy_(saved)
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.policy.refresh()


def _needs(objective: Objective, batch: PackedBatch) -> tuple[str, ...]:
    """A mixture reads for each part only what that part needs."""
    return objective.needs_for(batch.part)


def _added(counts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for some in counts:
        for name, count in some.items():
            total[name] = total.get(name, 0.0) + count
    return total


def _numbers(found: Sequence[Mapping[str, Tensor]], told: dict[str, float]) -> dict[str, float]:
    """Sums of all micro-batches, asked for after the last one: each question waits for a GPU."""
    for sums in found:
        for name, value in sums.items():
            told[name] += float(value)
    return told


def _total(terms: Sequence[Tensor]) -> Tensor:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _joined(batch: PackedBatch, columns: Mapping[str, Tensor]) -> PackedBatch:
    for name, column in columns.items():
        if column.requires_grad:
            raise ValueError(f"{name}: what joins examples must be a constant, but this column carries a gradient")
    return batch.with_columns(**columns)
