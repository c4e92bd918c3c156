"""One loop for every objective: read, add up, divide once, clip, step.

    gradient = sum over terms of  weight[term] * d( sum of the term over the optimiser batch ) / count[term]

Counts are fixed by `collate` and added over micro-batches and processes *before* the first backward pass; this file holds the
only division. So neither the size of a micro-batch, nor the number of processes, nor how trees are packed can change the
gradient (tests/engine/test_invariants.py holds every objective to it).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tutelage.data.batch import PackedBatch, filled
from tutelage.data.tree import Tree
from tutelage.engine.clip import clip
from tutelage.engine.optimizers import optimizers
from tutelage.engine.ranks import Ranks
from tutelage.engine.rates import Rates
from tutelage.models.policy import Policy
from tutelage.models.shards import shard_of
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
        own, company = self._micro_batches(trees)
        batches, company = ([batch.to(self.policy.device) for batch in some] for some in self._prepared(own, company))
        counts = self.ranks.sum_counts(_added([batch.counts for batch in batches]))
        found: list[dict[str, Tensor]] = []
        for batch in _by_part([*batches, *company]) if self.policy.sharded else batches:
            joins = any(batch is other for other in company)
            sums = self.objective.loss(self._read(batch, _needs(self.objective, batch)), batch)
            self._backward(sums, dict.fromkeys(counts, 0.0) if joins else counts)
            found += [] if joins else [{name: value.detach() for name, value in sums.items()}]
        self.policy.collect()
        self.ranks.sum_gradients(p for parameters in self.parameters.values() for p in parameters if shard_of(p) is None)
        told = self.ranks.sum_counts(_numbers(found, dict.fromkeys(counts, 0.0)))
        return {name: value / counts[name] for name, value in told.items() if counts[name]}

    def step(self, trees: Sequence[Tree], step: int, steps: int) -> dict[str, float]:
        """One optimiser step, `step` of `steps`. Raises FloatingPointError, weights untouched, when a gradient is not finite."""
        told = self.gradients(trees)
        for role, parameters in self.parameters.items():
            norm = clip(parameters, self.rates[role].clip)
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

    def _micro_batches(self, trees: Sequence[Tree]) -> tuple[list[PackedBatch], list[PackedBatch]]:
        """This process's, and those that it reads for company: a sharded policy is read by all processes or none, so one that has fewer
        micro-batches of a part than another reads an example once more, and learns nothing from it."""
        own = split(self.ranks.share(trees), self.micro_tokens)
        company: list[PackedBatch] = []
        if self.policy.sharded:
            first = {tree.part: tree for tree in reversed(trees)}
            for part in sorted(first):
                read = sum(batch[0].part == part for batch in own)
                lacking = max(self.ranks.gather([read])) - read
                company += [self.objective.collate([first[part]]) for _ in range(lacking)]
        return [self.objective.collate(batch) for batch in own], company

    def _backward(self, sums: Mapping[str, Tensor], counts: Mapping[str, float]) -> None:
        """Of each term sum / count; of none where nobody counts it. A sharded policy goes back in any case: others may."""
        weights, always = self.objective.terms, self.policy.sharded
        shares = {name: weights[name] / counts[name] if counts.get(name) else 0.0 for name in weights if name in sums}
        terms = [share * sums[name] for name, share in shares.items() if counts.get(name) or always]
        if terms:
            _total(terms).backward()

    def _read(self, batch: PackedBatch, needs: Sequence[str]) -> dict[str, Tensor]:
        """What the batch brought with it as it is, the rest in one traversal a role."""
        read = self.policy.read(batch, [need for need in needs if need not in batch.brought])
        dtype = next((x.dtype for x in read.values()), torch.float64)
        return {**read, **{need: batch.brought[need].to(self.policy.device, dtype) for need in needs if need in batch.brought}}

    def _prepared(self, own: list[PackedBatch], company: list[PackedBatch]) -> tuple[list[PackedBatch], list[PackedBatch]]:
        """Joint statistics enter as constants: computed over all processes' batches before the first loss, by the processor, where numbers
        of all processes meet. What is read for company gets columns too, but has no part in anybody else's."""
        needs = self.objective.prepare_needs
        if not needs:
            return own, company
        with torch.no_grad():
            read = [({name: x.cpu() for name, x in self._read(batch, needs).items()}, batch) for batch in [*own, *company]]
        everyone = self.ranks.gather(read[: len(own)])
        columns = self._columns(everyone)
        first = sum(self.ranks.gather([len(own)])[: self.ranks.rank])
        mine = columns[first : first + len(own)]
        beside = [self._columns([*everyone, other])[-1] for other in read[len(own) :]]
        pairs = (zip(own, mine, strict=True), zip(company, beside, strict=True))
        joined, joins = ([_joined(batch, added) for batch, added in some] for some in pairs)
        return joined, joins

    def _columns(self, read: Sequence[tuple[dict[str, Tensor], PackedBatch]]) -> Sequence[Mapping[str, Tensor]]:
        return self.objective.prepare([found for found, _ in read], [batch for _, batch in read])

    def state(self) -> dict[str, Tensor]:
        """Trained weights and what the optimizer remembers of each, by name: "policy.3.weight", "policy.3.exp_avg". Of a sharded policy
        this process's share."""
        return {f"{name}.{key}": x for name, p in self.named() for key, x in {"weight": p.detach(), **self._remembered(p)}.items()}

    @torch.no_grad()
    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` gave. Raises KeyError where a weight is missing."""
        for name, p in self.named():
            p.copy_(state[f"{name}.weight"])
            kept = {key.rpartition(".")[2]: x for key, x in state.items() if key.rpartition(".")[0] == name}
            self._remembered(p).update({key: x.to(p.device, copy=True) for key, x in kept.items() if key != "weight"})
        self.policy.refresh()

    def named(self) -> list[tuple[str, Tensor]]:
        """What is stepped, role by role, in an order that nothing but the networks decides."""
        return [(f"{role}.{n}", p) for role, parameters in self.parameters.items() for n, p in enumerate(parameters)]

    def _remembered(self, p: Tensor) -> dict[str, Tensor]:
        (optimizer,) = (o for o in self.optimizers if any(p is q for group in o.param_groups for q in group["params"]))
        return optimizer.state[p]


def _by_part(batches: Sequence[PackedBatch]) -> list[PackedBatch]:
    """In an order of parts that all processes have: what is read depends on the part."""
    return sorted(batches, key=lambda batch: batch.part)


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
