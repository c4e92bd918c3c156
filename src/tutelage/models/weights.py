"""Models on disk: plain transformers folders, which load where Tutelage isn't installed.

A model with a scalar head is saved as its family's `...ForSequenceClassification` with one label: plain transformers then gives
w . h at the last token that isn't padding, and the score is that up to an affine map,

    score = (w . h - score_shift) * score_scale,

whose two constants stand in `config.json` and, with these words, in `score.json`.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from tutelage.core.errors import Interrupted, UserError
from tutelage.models.dressing import brief, config_in, tokenizer_in, unpacking
from tutelage.models.heads import ScalarHead
from tutelage.models.hub.files import check_undamaged, weights_of
from tutelage.models.language import Part, language_part, left_out
from tutelage.models.quiet import quiet

transformers.logging.disable_progress_bar()  # ours is the one display: small models load in milliseconds
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
SHIFT, SCALE = "score_shift", "score_scale"
PREFIX, PREFIX_TOKENS = "learnt_prefix", "learnt_prefix_tokens"
"""In config.json: where the prefix lies that was learnt beside these weights, and how long it is."""


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, directory: Path, head: ScalarHead | None = None) -> None:
    """Write weights, config, generation config, tokenizer and chat template into `directory`, which is made if need be.

    The folder is not whole before the last file is written: write beside the final name and rename. Raises UserError for a
    tokenizer that isn't the model's, Interrupted when the disk refuses.
    """
    _check_match(model, tokenizer, str(directory))
    if head is not None and tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise UserError(f"{directory}: pad and end are one token, so plain transformers would score the token before the end; name a pad")
    _name_tokens(model, tokenizer)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _saved_form(model, head).save_pretrained(directory)
        if model.generation_config is not None:
            model.generation_config.save_pretrained(directory)
        if head is not None:
            meaning = f"score = (logit - {SHIFT}) * {SCALE}"
            text = json.dumps(
                {SHIFT: head.get_buffer("shift").item(), SCALE: head.get_buffer("scale").item(), "meaning": meaning}, indent=2
            )
            (directory / "score.json").write_text(text + "\n")
        tokenizer.save_pretrained(directory)
    except (OSError, SafetensorError) as problem:
        raise Interrupted(f"{directory}: the model could not be written ({problem}); free the disk and run again") from problem


def _name_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """The tokenizer's end and pad in both configs. Generation still stops at what else the published model stops at."""
    end = tokenizer.eos_token_id
    model.config.eos_token_id, model.config.pad_token_id = end, tokenizer.pad_token_id
    generation = model.generation_config
    if generation is not None:
        others = generation.eos_token_id if isinstance(generation.eos_token_id, list) else []
        generation.eos_token_id = [end, *(other for other in others if other != end)] if others else end
        generation.pad_token_id = tokenizer.pad_token_id


def _saved_form(model: PreTrainedModel, head: ScalarHead | None) -> PreTrainedModel:
    """What transformers saves: the model itself, or its trunk under a classifier of one label. Shares the weights."""
    if head is None:
        for name in (SHIFT, SCALE):
            if hasattr(model.config, name):
                delattr(model.config, name)
        return model
    config = copy.deepcopy(model.config)
    config.num_labels = 1
    config._attn_implementation = "eager"  # the copy never runs
    setattr(config, SHIFT, head.get_buffer("shift").item())
    setattr(config, SCALE, head.get_buffer("scale").item())
    with torch.device("meta"):
        scored = AutoModelForSequenceClassification.from_config(config)
    setattr(scored, scored.base_model_prefix, model.base_model)
    scored.score = nn.Linear(head.weight.shape[1], 1, bias=False, device="meta")
    scored.score.weight = nn.Parameter(
        head.weight.detach().to(torch.promote_types(next(model.parameters()).dtype, torch.float32)), requires_grad=False
    )
    return scored


def load(
    directory: Path, dtype: torch.dtype | None = None, bare: bool = False, told: Callable[[str], None] | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The causal model and tokenizer in `directory`; `dtype` None: as saved. Never looks beyond the folder, and runs no code of it.
    `told` hears what was chosen or left out: the language part of an image-text model, weights with no place, an end, a pad.

    A reward or value model comes back as its causal model (and `load_head` gives its head); where its words had an output matrix
    of their own, that was not saved, and asking for words raises. `bare` also gives weights beside which a prefix was
    learnt, without it. Raises UserError for a folder that isn't a whole model.
    """
    _check_folder(directory)
    tokenizer, config = tokenizer_in(directory, told), config_in(directory)
    part = language_part(config)
    config = part.config if part else config
    if packed := unpacking(directory):
        vars(config)["quantization_config"] = packed
    try:
        with quiet():  # the load report speaks of a missing head that is no fault
            model, found = AutoModelForCausalLM.from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
                directory,
                config=config,
                key_mapping=part.renamed if part else None,
                dtype=dtype or "auto",
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # _check_shapes says which
            )
    except (ValueError, RuntimeError, OSError, KeyError, TypeError, AttributeError, IndexError, ImportError, SafetensorError) as problem:
        raise UserError(f"{directory}: no causal language model can be loaded from here ({brief(problem)})") from problem
    if part or packed:  # or saving would give the weights the names that they had beside a vision tower, or packed
        vars(model).pop("_weight_conversions", None)
    if model.base_model is model:  # Llama 4's text model names a part that only its model that sees has
        model.base_model_prefix = "model"
    _check_shapes(found["mismatched_keys"], directory)
    _check_whole(model, sorted(found["missing_keys"]), directory)
    if told is not None and packed:
        told(f"the weights are packed ({packed['quant_method']}); they are unpacked to be learnt on, and saved so")
    if told is not None:
        _tell(model, part, sorted(found["unexpected_keys"]), told)
    _check_match(model, tokenizer, str(directory))
    prefix = getattr(model.config, PREFIX, None)
    if prefix is not None and not bare:
        raise UserError(
            f"{directory}: what was learnt here is a prefix beside the weights ({prefix}), which can't be merged into them; "
            "it can be read and measured, but nothing can begin with it: name a stage without `adapter: {kind: prefix}`"
        )
    return model.eval(), tokenizer


def load_head(directory: Path) -> ScalarHead | None:
    """The scalar head saved in `directory`, in float32 (float64 for a float64 model); None for a model that has none.

    A classifier of one label from elsewhere has no affine map: its shift is 0 and its scale 1.
    """
    _check_folder(directory)
    weight = _tensor(directory, "score.weight")
    if weight is None:
        return None
    if weight.shape[0] != 1:
        raise UserError(f"{directory}: a score needs one label; this model has {weight.shape[0]}")
    config = AutoConfig.from_pretrained(directory, local_files_only=True)
    head = ScalarHead(weight.shape[1], torch.promote_types(weight.dtype, torch.float32))
    with torch.no_grad():
        head.weight.copy_(weight)
    head.calibrate(getattr(config, SHIFT, 0.0), getattr(config, SCALE, 1.0))
    return head


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of everything a save would hold, in the order of names."""
    digest = hashlib.sha256()
    for name, x in sorted(model.state_dict().items()):
        digest.update(f"{name}:{x.dtype}:{tuple(x.shape)};".encode())
        digest.update(x.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


class NoWords(nn.Module):
    """Stands where a reward model has no output matrix for words."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("this is a reward or value model: its output matrix for words was not saved")


def _check_folder(directory: Path) -> None:
    if not directory.is_dir():
        raise UserError(f"{directory}: no such folder; a model is a folder with config.json, model.safetensors and a tokenizer")
    if not (directory / "config.json").is_file():
        kind = " (an adapter: name the model it belongs on, too)" if (directory / "adapter_config.json").is_file() else ""
        raise UserError(f"{directory}: no config.json here, so this is no transformers model{kind}")
    if not any((directory / name).is_file() for name in WEIGHTS):
        raise UserError(f"{directory}: no model.safetensors here; save the weights with safetensors (pickled weights are not read)")
    check_undamaged(directory)


def _tell(model: PreTrainedModel, part: Part | None, unexpected: list[str], told: Callable[[str], None]) -> None:
    """What the checkpoint has beyond the model."""
    others = [name for name in unexpected if name != "score.weight"]
    if part is not None:
        senses, others = left_out(others)
        told(f"{part.whole}: its language part is learnt and saved, as {type(model).__name__}; {len(senses)} other tensors are left out")
    if others:
        names = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        told(f"the checkpoint has weights that {type(model).__name__} has no place for, and which are left out: {names}")


def _check_shapes(mismatched: Iterable[tuple[str, torch.Size, torch.Size]], directory: Path) -> None:
    for name, saved, asked in sorted(mismatched):
        shapes = f"{tuple(saved)}, where config.json asks for {tuple(asked)}"
        raise UserError(f"{directory}: {name} was saved in the shape {shapes}; they don't belong together")


def _check_whole(model: PreTrainedModel, missing: list[str], directory: Path) -> None:
    output = model.get_output_embeddings()
    of_words = [name for name, module in model.named_modules() if module is output]
    lost = [name for name in missing if name.rpartition(".")[0] not in of_words]
    if missing and not lost and _tensor(directory, "score.weight") is not None:
        model.set_output_embeddings(NoWords())
    elif missing:
        raise UserError(f"{directory}: the weights lack {(lost or missing)[0]}; this is no whole {type(model).__name__}")


def _check_match(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, where: str) -> None:
    embeddings = model.get_input_embeddings()
    assert isinstance(embeddings, nn.Embedding)
    rows = embeddings.num_embeddings
    # Gemma 3's small models have no row for the image token that their tokenizer knows; no text is ever read as it.
    named = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
    unread = {id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special and id_ not in named}
    highest = max(id_ for id_ in tokenizer.get_vocab().values() if id_ not in unread)
    if highest >= rows:
        raise UserError(f"{where}: the tokenizer has an id {highest}, the model {rows} rows; they don't belong together")


def _tensor(directory: Path, name: str) -> torch.Tensor | None:
    for file in weights_of(directory, str(directory)):
        with safe_open(directory / file, framework="pt") as weights:
            if name in weights.keys():  # noqa: SIM118  (no mapping)
                return weights.get_tensor(name)
    return None
