"""What the training stages share: settings of learning, weights to begin with, roles, and what is left behind."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import torch
from annotated_types import Ge
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tutelage.core.errors import UserError
from tutelage.core.randomness import stream
from tutelage.core.text import Prompt
from tutelage.data.render import Renderer
from tutelage.engine.ranks import ranks
from tutelage.models import adapters, weights
from tutelage.models.adapters import Adapter, Lora
from tutelage.models.attention import SEPARATE
from tutelage.models.device import here
from tutelage.models.heads import ScalarHead
from tutelage.models.policy import Policy
from tutelage.models.precision import Precision
from tutelage.models.prefix import Prefix, has_prefix, length
from tutelage.models.readable import attention_for
from tutelage.models.roles import Role, causal, place, width
from tutelage.models.weights import PREFIX, PREFIX_TOKENS
from tutelage.recipes.work import Work

T = TypeVar("T")
TooLong = Literal["refuse", "leave_out"]
"""What happens to a row whose prompt is longer than the context."""


@dataclass(frozen=True)
class Machine:
    """How work is cut to fit the machine; none of it changes a gradient beyond rounding."""

    micro_tokens: Annotated[int, Ge(64)] = 4096
    """Tokens per forward and backward pass: more need more memory."""
    checkpoint_every: Annotated[int, Ge(1)] = 50
    """Optimiser steps between checkpoints: what a kill may cost."""
    attention: Literal["auto", "packed", "separate"] = "auto"
    """packed: each prompt is read once; separate: once for each of its responses, slower; auto: packed where the model can."""


def begin(work: Work, field: str = "init") -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The weights that the setting `field` names, in float32 (the master copy that is trained)."""
    torch.set_num_threads(work.decisions.threads)
    start = work.start(field)
    if isinstance(start, Path):
        return weights.load(start, torch.float32)
    if start.path is not None:
        return weights.load(start.path, torch.float32)
    what = f"a new model ({start.new.new if start.new else ''})"
    raise UserError(f"stage {work.name}: {field} is {what}, which can't be loaded here; begin with a pretrain stage or a folder")


def context(model: PreTrainedModel) -> int:
    """Tokens that the model can hold."""
    return int(getattr(model.config, "max_position_embeddings", 1024))


def renderer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, adapter: Adapter | None = None) -> Renderer:
    """Renders for this model: what doesn't fit its context, of which a learnt prefix takes its share, is refused or cut."""
    return Renderer(tokenizer, context(model) - (adapter.tokens if isinstance(adapter, Prefix) else 0))


def fitting(work: Work, rows: Sequence[T], prompt: Callable[[T], Prompt], render: Renderer, too_long: TooLong, room: int = 1) -> list[T]:
    """The rows whose prompt leaves `room` tokens of the context for a response. UserError for the first that doesn't, or for none
    that does; with `leave_out` those that don't are left out and counted in a note."""
    limit = render.context
    if limit is None:
        return list(rows)
    unlimited = Renderer(render.tokenizer)
    fits: list[T] = []
    for number, row in enumerate(rows, 1):
        length = len(unlimited.prompt(prompt(row)))
        if length + room <= limit:
            fits.append(row)
        elif too_long == "refuse":
            raise UserError(
                f"stage {work.name}: the prompt of row {number} ({prompt(row).last[:40]!r}) has {length} tokens, but only "
                f"{limit - room} of the context of {limit} are left for prompts; shorten it, or set stages.{work.name}.too_long=leave_out"
            )
    if not fits:
        raise UserError(f"stage {work.name}: none of {len(rows)} prompts fits the context of {limit} tokens; use a model with a longer one")
    if len(fits) < len(rows):
        work.progress.note(f"{work.name}: {len(rows) - len(fits)} of {len(rows)} rows left out, their prompts are longer than the context")
    return fits


def policy_of(
    work: Work, machine: Machine, roles: Mapping[str, Role], words: PreTrainedTokenizerFast, adapter: Adapter | None = None
) -> Policy:
    """The policy that a stage trains, on the device of the run, reading trees as its networks can. Where they can't read them packed, that
    is said. Attention of a family's own may hold tables in float32, so such a network computes in it."""
    for role in roles.values():
        place(role, here(work.decisions.device))
    networks = {id(model): model for model in (causal(role.network) for role in roles.values())}
    attention, why = attention_for(networks.values(), machine.attention)
    if why:
        work.progress.note(f"{work.name}: every response is read with its prompt, one by one ({why}): the same numbers, slower")
    return Policy(roles, words, "float32" if attention == SEPARATE else precision(work, adapter), attention)


def precision(work: Work, adapter: Adapter | None = None) -> Precision:
    """What the run decided once; float32 under DoRA, whose lengths, once rounded, are no longer those of the rounded weights: a policy
    would not begin as its reference."""
    exact = isinstance(adapter, Lora) and adapter.dora
    return "float32" if exact else work.decisions.precision


def learner(model: PreTrainedModel, adapter: Adapter | None, seed: int, head: ScalarHead | None = None) -> Role:
    """The role that trains: the whole network, or an adapter on it."""
    if adapter is None:
        return Role(model, None, head, trains=True)
    return Role(adapters.wrap(model, adapter, "policy", seed), "policy", head, trains=True)


def frozen(role: Role) -> Role:
    """What the role begins as, kept: the same network without the adapter, or a copy where the whole network trains."""
    if role.adapter is not None:
        return Role(role.network)
    return Role(copy.deepcopy(role.network))


def new_head(model: PreTrainedModel, seed: int) -> ScalarHead:
    """A head whose weights are drawn from N(0, 1 / (width + 1)), as Stiennon et al. (2009.01325) begin with."""
    size = width(model)
    head = ScalarHead(size)
    drawn = stream("head", seed).standard_normal(size) / (size + 1) ** 0.5
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(drawn)[None])
    return head


def leave(work: Work, policy: Policy, role: Role, head: ScalarHead | None = None) -> dict[str, Any]:
    """Save the trained role under `work.dir`: `model/` loads in plain transformers, `adapter/` (where one was trained) in peft. A learnt
    prefix can't be merged: `model/` then holds the weights it was learnt beside, and its config says where it lies.

    Returns the weights' hash for the manifest.
    """
    assert policy.tokenizer is not None
    policy.finish()
    if ranks().rank:
        return {}
    model = causal(place(role, torch.device("cpu")).network)  # where it is merged and saved, a GPU may lack the room
    whole: nn.Module = model
    if role.adapter is not None:
        network: Any = role.network
        adapters.save(network, role.adapter, work.dir / "adapter")
        if has_prefix(role):
            whole = network
            setattr(model.config, PREFIX, "../adapter")
            setattr(model.config, PREFIX_TOKENS, length(role))
        else:
            whole = model = adapters.merged(network, role.adapter)
    weights.save(model, policy.tokenizer, work.dir / "model", head)
    for kept in ("checkpoint.pt", "reference.npz"):
        (work.dir / kept).unlink(missing_ok=True)
    read = "separate" if policy.attention == SEPARATE else "packed"
    return {"attention": read, "weights": weights.weights_hash(whole), "parameters": sum(p.numel() for p in model.parameters())}
