"""Can a model read packed trees? It is tried, and compared with separate passes: a model may refuse (attention of its own), or take the
tree and yet mix tokens that must not meet (a convolution or a recurrence along the stream), without a word.

What is refused whichever way a model is read: mixtures of experts whose objective has a part that only they can compute, logits that are
more than a map of the last hidden states, and numbers that depend on later tokens or on other rows.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.core.errors import UserError
from tutelage.data.batch import PackedBatch, pack
from tutelage.data.tree import Tree
from tutelage.models.attention import DENSE, TREE
from tutelage.models.attention.plan import plan
from tutelage.models.attention.separate import SEPARATE, paths, read_separately
from tutelage.models.quiet import quiet
from tutelage.models.roles import words

NEAR = 1e-3
"""Relative difference of hidden states: rounding to float32 is a thousandth of it, a token that met another's a hundred times as much."""
ROUNDED = 0.05
"""As NEAR, for a network that computes in bfloat16, whose rounding is about 0.01."""
WIDE = (torch.float32, torch.float64)


def attention_for(models: Iterable[PreTrainedModel], wanted: str) -> tuple[str, str]:
    """(TREE or SEPARATE, why separate) for models that are read together, of which `wanted` is "auto", "packed" or "separate". Raises
    UserError for a model that can't be read as wanted, or not at all."""
    several = list(models)
    for model in several:
        check_experts(model)
        _check_words(model)
    faults = ["as asked for"] if wanted == "separate" else [fault for model in several if (fault := unreadable(model))]
    if faults and wanted == "packed":
        raise UserError(f"machine.attention: packed can't be: {faults[0]}; set it to auto or separate")
    if faults:
        for model in several:
            _check_alone(model)
    return (SEPARATE, faults[0]) if faults else (TREE, "")


def unreadable(model: PreTrainedModel) -> str:
    """Why this model can't read packed trees; empty when it can. The model is left as it was."""
    name = type(model).__name__
    batch = _sample(model.config.get_text_config().vocab_size).to(model.device)
    try:
        with _tried(model):
            apart = _separate(model, batch)
            use(model, TREE if model.device.type == "cpu" else DENSE)  # a GPU's kernel would be compiled for these few tokens
            together = read_packed(model, batch)
    except UserError as refused:
        return str(refused)
    except (NotImplementedError, ValueError, TypeError) as refused:
        return f"{name}: {str(refused).splitlines()[0]}"
    off = float((together - apart).norm() / apart.norm())
    return "" if off < NEAR else f"{name} mixes tokens of different branches (hidden states differ by {off:.1e})"


@contextmanager
def _tried(model: PreTrainedModel) -> Iterator[None]:
    """Within, the model may be asked anything; then it is as it was."""
    before, training = model.config._attn_implementation, model.training
    try:
        model.eval()
        with quiet():  # the sample's ids are arbitrary: a pad among them is no fault
            yield
    finally:
        model.train(training)
        if model.config._attn_implementation != before:
            model.set_attn_implementation(before or "eager")


@torch.no_grad()
def _check_alone(model: PreTrainedModel) -> None:
    """Refuse a model whose numbers depend on what stands after a token, or beside it in a batch: an encoder, say."""
    batch = _sample(model.config.get_text_config().vocab_size).to(model.device)
    made = paths(batch, plan(batch))
    with _tried(model):
        found = _separate(model, batch)
        truth_BLD = found.new_zeros(*made.from_BL.shape, found.shape[-1])
        for b, (row_L, filled_L) in enumerate(zip(made.from_BL, made.filled_BL, strict=True)):
            truth_BLD[b, filled_L] = model.base_model(input_ids=batch.tokens_T[row_L[filled_L]][None], use_cache=False).last_hidden_state[0]
    off = float((found - truth_BLD.flatten(0, 1)[made.place_T]).norm() / found.norm())
    if off >= (NEAR if model.dtype in WIDE else ROUNDED):
        what = "what it makes of a token depends on what comes after it, or stands beside it in a batch"
        raise UserError(f"{type(model).__name__} can't be learnt on: {what} (hidden states differ by {off:.1e})")


@torch.no_grad()
def _check_words(model: PreTrainedModel) -> None:
    """Refuse a model that makes more of its hidden states than `roles.words` knows before they are logits."""
    if not hasattr(model.get_output_embeddings(), "weight"):
        return  # a reward model's: it gives no words
    ids_1L = torch.arange(2, 9, device=model.device)[None] % model.config.get_text_config().vocab_size
    with _tried(model):
        use(model, SEPARATE)
        truth = model(input_ids=ids_1L, use_cache=False).logits.float()
        hidden_1LD = model.base_model(input_ids=ids_1L, use_cache=False).last_hidden_state
    try:
        found = words(model)(hidden_1LD).float()
    except RuntimeError:  # a matrix for something wider or narrower
        found = hidden_1LD
    off = float((found - truth).norm() / truth.norm()) if found.shape == truth.shape else torch.inf
    if off >= (NEAR if model.dtype in WIDE else ROUNDED):
        raise UserError(f"{type(model).__name__} can't be learnt on: its logits are not those of its last layer (they differ by {off:.1e})")


def use(model: PreTrainedModel, attention: str) -> None:
    """Compute attention by the function registered as `attention`; SEPARATE: by the model's own. Raises UserError where a family doesn't
    go through the interface."""
    if attention == SEPARATE:
        if str(model.config._attn_implementation).startswith("tutelage"):
            model.set_attn_implementation("sdpa" if model._supports_sdpa else "eager")
        return
    # transformers would warn and go on where a family has its own attention
    if not model._can_set_attn_implementation():
        raise UserError(f"{type(model).__name__} has an attention of its own and can't read packed trees")
    model.set_attn_implementation(attention)


@torch.no_grad()
def _separate(model: PreTrainedModel, batch: PackedBatch) -> Tensor:
    use(model, SEPARATE)
    return read_separately(model, batch, plan(batch))


@torch.no_grad()
def read_packed(model: PreTrainedModel, batch: PackedBatch) -> Tensor:
    """[T, D] the last hidden states, without a prefix and without padding."""
    ids_1T, position_1T = batch.tokens_T[None], batch.position_T[None]
    return model.base_model(input_ids=ids_1T, position_ids=position_1T, tree=plan(batch), use_cache=False).last_hidden_state[0]


def _sample(words: int) -> PackedBatch:
    """Two trees whose tokens fill blocks of attention evenly: prompts and answers of several lengths."""

    def ids(first: int, count: int) -> tuple[int, ...]:
        return tuple((first + 7 * n) % words for n in range(count))

    return pack([Tree(ids(1, 20), (ids(2, 11), ids(3, 30), ids(4, 1))), Tree(ids(5, 16), (ids(6, 42), ids(8, 8)))])


def check_experts(model: PreTrainedModel) -> None:
    """Refuse a loss that balances experts, and experts that drop tokens."""
    name, config = type(model).__name__, model.config
    if getattr(config, "output_router_logits", False):
        raise UserError(
            f"{name} asks for a loss that balances its experts (output_router_logits: true), which can't be computed here; "
            "set it to false in the model's config.json to train without that loss"
        )
    if getattr(config, "expert_capacity", None):
        raise UserError(f"{name} drops tokens where an expert has too many (expert_capacity), so a token's numbers hang on its neighbors")
