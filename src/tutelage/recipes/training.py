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
from tutelage.engine import checkpoint
from tutelage.engine.ranks import ranks
from tutelage.models import adapters, weights
from tutelage.models.adapters import Adapter, Lora, Peft
from tutelage.models.attention import SEPARATE
from tutelage.models.device import here
from tutelage.models.heads import ScalarHead
from tutelage.models.loading import load_role
from tutelage.models.policy import Policy
from tutelage.models.precision import Precision, narrow
from tutelage.models.prefix import Prefix, has_prefix, length
from tutelage.models.quantized import Base, noted, quantize
from tutelage.models.readable import attention_for
from tutelage.models.roles import Role, causal, place, width
from tutelage.models.speaking import Voice, voice
from tutelage.models.weights import PREFIX, PREFIX_TOKENS
from tutelage.recipes.fitted import fitted
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
    precision: Literal["auto", "bf16", "autocast", "float32"] = "auto"
    """What networks compute in (models/precision.py). bf16: rounded weights over float32 masters; autocast: float32 weights, rounded in
    each product, slower; float32: nothing is rounded; auto: bf16 or float32, as was decided for this machine when the run began."""
    shard: Literal["auto", "never", "always"] = "auto"
    """Under torchrun: share weights, gradients and the optimizer's memory out among processes (models/shards.py), or hold them whole in
    each. auto: shared out on GPUs where the estimate of a whole stage is above nine tenths of what the smallest has free."""
    recompute: bool = False
    """Make a layer's activations again in the backward pass: the same gradient, about a third slower, and only a layer's input is kept."""
    offload: bool = False
    """Keep the masters of what is trained, and what the optimizer remembers of it, in the processor's memory: the same steps, slower by the
    way there and back."""


def begin(work: Work, adapter: Adapter | None = None, field: str = "init") -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The weights that the setting `field` names, in float32 (the master copy that is trained); quantized where the adapter says so, from
    what is in the folder. What had to be chosen for a model from elsewhere is said."""
    own, base = isinstance(work.start(field), Path), base_of(adapter)
    told = None if own else lambda line: work.progress.note(f"{work.name}: {line}")
    if base == "as_is":
        return weights.load(_folder(work, field), torch.float32, told=told)
    model, words = weights.load(_folder(work, field), told=told)
    model = quantize(model, base, here(work.decisions.device)).float()
    work.progress.note(f"{work.name}: the weights below the adapter are kept in {base}, {noted(model)['base_bits']} bits each")
    return model, words


def base_of(adapter: Adapter | None) -> Base:
    """What the weights under an adapter are kept in."""
    return adapter.base if isinstance(adapter, Lora) else "as_is"


def speaker(work: Work, field: str) -> tuple[Role, Renderer]:
    """The role that the setting `field` names, to write with: its prefix too, where one was learnt. In bfloat16 where that was decided
    and the model writes with our cache."""
    role, words = load_role(_folder(work, field), torch.float32)
    model = causal(place(role, here(work.decisions.device)).network)
    if note_voice(work, model).way == "ours" and work.decisions.precision == "bf16":
        narrow(role.network.requires_grad_(False))
    return role, Renderer(words, context(model) - length(role))


def note_voice(work: Work, model: PreTrainedModel) -> Voice:
    """How a model writes; said where it is slower than it might be. (Tried before the model is rounded, so that the trial is exact.)"""
    found = voice(model)
    if found.note:
        work.progress.note(f"{work.name}: {found.note}")
    return found


def _folder(work: Work, field: str) -> Path:
    """Of the weights that the setting `field` names."""
    torch.set_num_threads(work.decisions.threads)
    start = work.start(field)
    if isinstance(start, Path):
        return start
    if start.path is not None:
        return start.path
    what = f"a new model ({start.new.new if start.new else ''})"
    raise UserError(f"stage {work.name}: {field} is {what}, which can't be loaded here; begin with a pretrain stage or a folder")


def context(model: PreTrainedModel) -> int:
    """Tokens that the model can hold."""
    return int(getattr(model.config, "max_position_embeddings", 1024))


def renderer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, adapter: Adapter | None = None, longest: int | None = None
) -> Renderer:
    """Renders for this model: what doesn't fit its context, of which a learnt prefix takes its share, or is longer than `longest`
    tokens, is refused or cut."""
    room = context(model) - (adapter.tokens if isinstance(adapter, Prefix) else 0)
    return Renderer(tokenizer, room if longest is None else min(room, longest))


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
    """The policy that a stage trains, on the device of the run, reading trees as its networks can, in the precision that was asked for or
    decided. Where either can't be, that is said. Attention of a family's own may hold tables in float32, so such a network computes in
    it."""
    device = here(work.decisions.device)
    fit = fitted(work, machine, roles)
    for role in roles.values():
        if not fit.shard:
            place(role, device)
        elif role.head is not None:  # networks are brought there layer by layer, as they are shared out
            role.head.to(device)
    networks = {id(model): model for model in (causal(role.network) for role in roles.values())}
    attention, why = attention_for(networks.values(), machine.attention)
    if why:
        work.progress.note(f"{work.name}: every response is read with its prompt, one by one ({why}): the same numbers, slower")
    return Policy(roles, words, _precision(work, machine, adapter, attention), attention, fit)


def _precision(work: Work, machine: Machine, adapter: Adapter | None, attention: str) -> Precision:
    """What a stage computes in. float32 under DoRA, whose lengths, once rounded, are no longer those of the rounded weights: a policy
    would not begin as its reference."""
    wanted, exact = machine.precision, ""
    if attention == SEPARATE:
        exact = "attention is separate, and a family's own may keep tables in float32"
    elif isinstance(adapter, Lora | Peft) and adapter.dora:
        exact = "DoRA's lengths, once rounded, would not be those of the rounded weights"
    if exact and wanted in ("bf16", "autocast"):
        work.progress.note(f"{work.name}: networks compute in float32, not in {wanted} ({exact})")
    elif wanted != "auto":
        work.progress.note(f"{work.name}: networks compute in {wanted}, as machine.precision says")
    if exact:
        return "float32"
    return work.decisions.precision if wanted == "auto" else wanted


def learner(model: PreTrainedModel, adapter: Adapter | None, seed: int, head: ScalarHead | None = None) -> Role:
    """The role that trains: the whole network, or an adapter on it, new or from its folder."""
    if adapter is None:
        return Role(model, None, head, trains=True)
    if isinstance(adapter, Peft):
        return Role(adapters.load(model, adapter.folder, "policy"), "policy", head, trains=True)
    return Role(adapters.wrap(model, adapter, "policy", seed), "policy", head, trains=True)


def frozen(role: Role, adapter: Adapter | None = None) -> Role:
    """What the role begins as, kept: the same network without the adapter, or with a copy of one that had learnt before; a copy of all
    where the whole network trains."""
    if isinstance(adapter, Peft) and role.adapter is not None:
        network: Any = role.network
        adapters.duplicate(network, role.adapter, "reference")
        return Role(role.network, "reference")
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
    read, computed = "separate" if policy.attention == SEPARATE else "packed", policy.precision
    base = noted(role.network)
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
    checkpoint.drop(work.dir)
    (work.dir / "reference.npz").unlink(missing_ok=True)
    size, kind = sum(p.numel() for p in model.parameters()), type(model).__name__
    told = {"weights": weights.weights_hash(whole), "parameters": size, "architecture": kind}
    return {"attention": read, "precision": computed, **base, **told}
