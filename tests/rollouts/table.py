"""The smallest thing that can be read and sampled from: a table of logits, one row per previous token, for every role.

It implements `Policy.read` and `Sampler.generate` exactly, in float64, so that rollouts and objectives are tested without a
network. A response's score is the sum of its tokens' scores.
"""

import torch

from tutelage.core.randomness import uniforms
from tutelage.models.sampler import Sampled


class Table:
    def __init__(self, words: int = 64, end: int = 1, seed: int = 0, width: float = 0.5):
        draw = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return width * torch.randn(*shape, generator=draw, dtype=torch.float64)

        logits = normal(words, words)
        self.logits = {"policy": logits.clone().requires_grad_(), "reference": logits.clone()}
        self.values = {"value": normal(words).requires_grad_()}
        self.scores = {"reward": normal(words)}
        self.end = end
        self.traversals = []
        self.version = 0

    def rounds(self, own):
        return own

    def read(self, batch, needs):
        self.traversals.append(tuple(needs))
        return {need: self._one(batch, *need.split("@")) for need in needs}

    def _one(self, batch, what, role="policy"):
        before_M = batch.tokens_T[batch.previous_T[batch.rows_M]]
        if what == "value":
            return self.values[role][before_M]
        if what == "score":
            segment_R = batch.segment_T[batch.last_R]
            sums_S = torch.zeros(len(batch.parent_S), dtype=torch.float64)
            return sums_S.index_add(0, batch.segment_T, self.scores[role][batch.tokens_T])[segment_R]
        logp_MV = self.logits["policy" if what == "kl" else role][before_M].log_softmax(-1)
        if what == "logp":
            return logp_MV.gather(1, batch.tokens_T[batch.rows_M][:, None])[:, 0]
        if what == "entropy":
            return -(logp_MV.exp() * logp_MV).sum(-1)
        assert what == "kl", what
        return (logp_MV.exp() * (logp_MV - self.logits[role][before_M].log_softmax(-1))).sum(-1)

    def generate(self, prompts, addresses, sampling):
        with torch.no_grad():
            return [self._draw(prompt, address, sampling.max_tokens) for prompt, address in zip(prompts, addresses, strict=True)]

    def _draw(self, prompt, address, limit):
        ids, logp, last = [], [], prompt[-1]
        for u in uniforms(limit, *address):
            logp_V = self.logits["policy"][last].log_softmax(-1)
            last = min(int(torch.searchsorted(logp_V.exp().cumsum(0), float(u), right=True)), len(logp_V) - 1)
            ids.append(last)
            logp.append(float(logp_V[last]))
            if last == self.end:
                break
        return Sampled(tuple(ids), tuple(logp), ids[-1] == self.end)
