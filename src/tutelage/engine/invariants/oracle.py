"""The oracle: every response in a pass of its own, through plain causal attention and a plain log-softmax.

It shares nothing with what it checks: no packing, no plan, no predecessor table, no chunked head. (transformers' own eager
attention takes its softmax in float32 whatever the model's dtype, so the oracle brings three lines of its own.)

M trained tokens, R responses, L tokens of one path (prompt and response).
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from tutelage.data.batch import PackedBatch
from tutelage.data.tree import POLICY, Tree
from tutelage.models.attention import no_mask
from tutelage.models.policy import Policy
from tutelage.models.roles import Role, active, causal


def plain_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """One sequence, causal: [1, H, L, d] in, [1, L, H, d] out. Keys may begin before the queries: those of a learnt prefix."""
    key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    score = query @ key.transpose(2, 3) * (scaling if scaling is not None else query.shape[-1] ** -0.5)
    if softcap is not None:
        score = softcap * (score / softcap).tanh()
    before = key.shape[2] - query.shape[2]
    gap = (torch.arange(query.shape[2]) + before)[:, None] - torch.arange(key.shape[2])
    weight = score.masked_fill(~((gap >= 0) & (gap < (sliding_window or key.shape[2]))), -torch.inf).exp()
    total = weight.sum(-1, keepdim=True) + (0 if s_aux is None else s_aux.exp()[:, None, None])
    return ((weight / total) @ value).transpose(1, 2), None


PLAIN = "tutelage_plain"
AttentionInterface.register(PLAIN, plain_attention)
AttentionMaskInterface.register(PLAIN, no_mask)


def separate_reads(policy: Policy, trees: Sequence[Tree], batch: PackedBatch, needs: Sequence[str]) -> dict[str, Tensor]:
    """What `policy.read(batch, needs)` must equal, made from the trees alone. Trained prompt tokens come with the first response."""
    for role in policy.roles.values():
        causal(role.network).set_attn_implementation(PLAIN)
    try:
        read = {need: _read(policy, need, trees, batch.temperature) for need in needs}
    finally:
        for role in policy.roles.values():
            causal(role.network).set_attn_implementation(policy.attention)
    return read


def _read(policy: Policy, need: str, trees: Sequence[Tree], temperature: float) -> Tensor:
    if need.startswith("nll"):
        return -_read(policy, need.replace("nll", "logp"), trees, temperature).sum()
    return torch.cat([_path(policy, need, *path, temperature) for path in _paths(trees)])


def _paths(trees: Sequence[Tree]) -> Iterator[tuple[list[int], list[bool]]]:
    """Each response with its prompt, and which of the tokens are trained."""
    for tree in trees:
        for k, (ids, writers) in enumerate(zip(tree.responses, tree.writers, strict=True)):
            before = [w == POLICY and k == 0 for w in tree.prompt_writers]
            trained = before + [w == POLICY for w in writers]
            trained[0] = False  # nothing predicts the first token of a stream
            yield [*tree.prompt, *ids], trained


def _path(policy: Policy, need: str, ids: list[int], trained: list[bool], temperature: float) -> Tensor:
    quantity, _, name = need.partition("@")
    role = policy.roles["policy" if quantity == "kl" else name or "policy"]
    with torch.set_grad_enabled(torch.is_grad_enabled() and role.trains):
        hidden_LD, logp_LV = _pass(role, ids, temperature)
        target_L = torch.tensor(trained)
        before = target_L.roll(-1)
        if quantity == "score":
            return _scalar(role, hidden_LD[-1:])
        if quantity == "value":
            return _scalar(role, hidden_LD[before])
        if quantity == "logp":
            return logp_LV[before].gather(-1, torch.tensor(ids)[target_L, None])[:, 0]
        if quantity == "entropy":
            return -(logp_LV[before].exp() * logp_LV[before]).sum(-1)
        other_LV = _pass(policy.roles[name], ids, temperature)[1].detach()
        return (logp_LV[before].exp() * (logp_LV[before] - other_LV[before])).sum(-1)


def _pass(role: Role, ids: list[int], temperature: float) -> tuple[Tensor, Tensor]:
    with active(role):
        out = role.network(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    return out.hidden_states[-1][0], (out.logits[0] / temperature).log_softmax(-1)


def _scalar(role: Role, hidden: Tensor) -> Tensor:
    head = role.head
    assert head is not None
    return ((hidden * head.weight[0]).sum(-1) - head.shift) * head.scale
