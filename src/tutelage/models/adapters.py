"""LoRA through peft: W x + (alpha / rank) B A x with B = 0 at the start (Hu et al. 2021), so an adapted model begins as its base to
the last bit; and DoRA, m * (W + (alpha / rank) B A) / |W + (alpha / rank) B A| with a learnt length m for each output (Liu et al. 2024).
A learnt prefix is the other kind (prefix.py).
Several named adapters live in one base and are the roles of a policy; saved, each is a plain peft folder.

The targets are named here rather than left to peft's "all-linear", so a second adapter gets the same places as the first, and the
first matrices are a function of the seed alone.
"""

import copy
import json
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt
from peft import LoraConfig, PeftConfig, PeftModel, PrefixTuningConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tutelage.core.errors import Interrupted, UserError
from tutelage.core.rows import hash_file
from tutelage.core.text import content_id
from tutelage.models.hub.files import fault
from tutelage.models.prefix import Prefix
from tutelage.models.quantized import Base, Quantized, as_it_stood, quantized, whole

BEYOND = ("modules_to_save", "bias", "trainable_token_indices", "target_parameters", "alora_invocation_tokens", "lora_bias")
"""What a peft config may add to LoRA and isn't learnt here."""
OUTER = ("model.language_model.", "language_model.model.", "model.text_model.")
"""Where the layers of a language part are in models that see."""
WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"


@dataclass(frozen=True)
class Lora:
    """A low-rank adapter."""

    kind: Literal["lora"] = "lora"
    """Tells LoRA from a prefix; may be left out."""
    rank: Annotated[int, Ge(1)] = 8
    """Rows of A; 4 to 64 are usual."""
    alpha: Annotated[float, Gt(0)] = 16.0
    """The product is scaled by alpha / rank."""
    targets: str | tuple[str, ...] = "all-linear"
    """Names of the linear layers to adapt (q_proj, ...), all of them, or a regular expression of their whole paths
    (`model\\.layers\\.[0-7]\\..*_proj`), as peft takes one; never the words' output matrix."""
    dora: bool = False
    """Also learn the length of each output's weights apart from their direction (DoRA, arXiv 2402.09353): slower, often a little better."""
    base: Base = "as_is"
    """What the weights below are kept in: nf4, four bits (QLoRA, arXiv 2305.14314); int8; or as_is. What isn't adapted stays as it is."""


@dataclass(frozen=True)
class Peft:
    """A LoRA adapter that was learnt before, here or by any tool that saves with peft, and is learnt on: its own config says all about it.
    UserError for a folder that holds none, or one of another kind."""

    from_: str
    """Its folder: adapter_config.json and adapter_model.safetensors."""
    kind: Literal["peft"] = "peft"
    """Goes on with an adapter that is there."""

    def __post_init__(self) -> None:
        faults = [f"{key} {told[key]!r}" for told in [self.config] for key in BEYOND if told.get(key) not in (None, False, [], {}, "none")]
        if self.config.get("peft_type") != "LORA" or faults:
            what = f"LoRA with {faults[0]}" if faults else str(self.config.get("peft_type"))
            raise UserError(f"{self.from_}: {what} can't be learnt on; plain LoRA can (rank, alpha, targets, DoRA)")

    @property
    def folder(self) -> Path:
        return Path(self.from_).expanduser()

    @cached_property
    def config(self) -> dict[str, Any]:
        """As peft saved it."""
        _check_folder(self.folder)
        try:
            found = json.loads((self.folder / SETTINGS).read_bytes())
        except ValueError as problem:
            raise UserError(f"{self.folder / SETTINGS}: broken JSON ({problem})") from None
        if not isinstance(found, dict):
            raise UserError(f"{self.folder / SETTINGS}: no adapter's settings; expected one JSON object, as peft saves it")
        return found

    @property
    def dora(self) -> bool:
        return bool(self.config.get("use_dora"))

    @property
    def hash(self) -> str:
        """Of weights and config: what is made from it is made again when they change."""
        return content_id(hash_file(self.folder / WEIGHTS), hash_file(self.folder / SETTINGS))


Adapter = Lora | Prefix | Peft


def wrap(model: PreTrainedModel | PeftModel, adapter: Lora | Prefix, name: str, seed: int) -> PeftModel:
    """`model` with a new adapter `name`, active and trainable, everything else frozen. The model's own layers are changed in place;
    an already adapted model gets one adapter more. Raises UserError for a target that isn't there, or a name that is taken."""
    if isinstance(model, PeftModel) and name in model.peft_config:
        raise UserError(f"adapter {name!r} is there already; there are {', '.join(model.peft_config)}")
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(inner, PreTrainedModel)
    config = _lora(inner, adapter) if isinstance(adapter, Lora) else _prefix(adapter)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = _added(model, config, name)
        except ValueError as refused:
            raise UserError(f"{type(inner).__name__} can't be adapted so: {str(refused).splitlines()[0]}") from None
    model.set_adapter(name)
    return model.eval()


def _added(model: PreTrainedModel | PeftModel, config: PeftConfig, name: str) -> PeftModel:
    if isinstance(model, PeftModel):
        model.add_adapter(name, config)
        return model
    with warnings.catch_warnings():  # peft 0.21 asks by a name that transformers 5.23 is about to drop: nothing a user could mend
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        added = get_peft_model(model, config, adapter_name=name)
    assert isinstance(added, PeftModel)
    return added


def linear_layers(model: PreTrainedModel) -> tuple[str, ...]:
    """The names, without their path, of all linear layers but the words' output matrix."""
    return tuple(sorted({path.rpartition(".")[2] for path in _linear_paths(model)} - _fused(model)))


def _own(module: nn.Module) -> bool:
    """Whether a family has made another thing of it: Llama 4's router is a linear layer that gives two tensors."""
    return not isinstance(module, Conv1D) and type(module).__module__.startswith("transformers.models.")


def _fused(model: PreTrainedModel) -> set[str]:
    """Layers whose weights Mamba's kernels take without calling them, so an adapter there would do nothing."""
    mixes = any("mamba" in f"{path} {type(module).__name__}".lower() for path, module in model.named_modules())
    return {"out_proj"} if mixes else set()


def _linear_paths(model: PreTrainedModel) -> list[str]:
    output = model.get_output_embeddings()
    return [
        path.removesuffix(".base_layer")
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not output and ".lora_" not in path and not _own(module)
    ]


def _targets(model: PreTrainedModel, wanted: str | tuple[str, ...]) -> Iterable[str]:
    """Names of layers, or the paths that a pattern fits."""
    there = linear_layers(model)
    if wanted == "all-linear":
        return there
    names = (wanted,) if isinstance(wanted, str) else wanted
    strange = [name for name in names if name not in there]
    if not strange:
        return names
    if isinstance(wanted, str) and not wanted.isidentifier():
        return _fitting(_linear_paths(model), wanted)
    raise UserError(f"lora.targets: no layer is named {strange[0]!r}; there are {', '.join(there)}")


def _fitting(paths: list[str], pattern: str) -> list[str]:
    """Paths that `pattern` fits as they are, or as they are in a model that sees and has this one within."""
    try:
        fits = re.compile(pattern).fullmatch
    except re.error as fault:
        raise UserError(f"lora.targets: {pattern!r} is no regular expression ({fault})") from None
    found = [path for path in paths if any(fits(f"{outer}{path.removeprefix('model.')}") for outer in OUTER) or fits(path)]
    if not found:
        raise UserError(f"lora.targets: no layer's path fits {pattern!r}; the first is {paths[0]}")
    return found


def _prefix(prefix: Prefix) -> PrefixTuningConfig:
    return PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=prefix.tokens)


def _lora(model: PreTrainedModel, lora: Lora) -> LoraConfig:
    transposed = any(isinstance(module, Conv1D) for module in model.modules())
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType]  (peft divides it; a fraction is fine)
        target_modules=sorted(_targets(model, lora.targets)),
        lora_dropout=0.0,
        use_dora=lora.dora,
        fan_in_fan_out=transposed,
        task_type="CAUSAL_LM",
    )


def parameters(model: PeftModel, name: str) -> dict[str, nn.Parameter]:
    """The adapter's own parameters, by their full names."""
    return {full: p for full, p in model.named_parameters() if f".{name}." in f"{full}."}


def freeze(model: PeftModel, name: str) -> None:
    """No gradient for the adapter `name`. (Making an adapter active with peft's `set_adapter` gives it gradients again.)"""
    for p in parameters(model, name).values():
        p.requires_grad_(False)


def duplicate(model: PeftModel, source: str, target: str) -> None:
    """Make `target` a frozen copy of `source`, over an adapter of that name if there is one. The active adapter stays active."""
    before = {full: p.requires_grad for full, p in model.named_parameters()}
    (active,) = model.active_adapters
    if target not in model.peft_config:
        with torch.random.fork_rng(devices=[]):
            model.add_adapter(target, copy.deepcopy(model.peft_config[source]))
    state = get_peft_model_state_dict(model, adapter_name=source, save_embedding_layers=False)
    set_peft_model_state_dict(model, {name: x.detach().clone() for name, x in state.items()}, adapter_name=target)
    model.set_adapter(active)
    for full, p in model.named_parameters():
        p.requires_grad_(before.get(full, False) and f".{target}." not in full)
    model.eval()  # an adapter from elsewhere may have dropout, and what peft adds is in training


def merged(model: PeftModel, name: str) -> PreTrainedModel:
    """A plain transformers model, a copy, with the adapter `name` added into its weights; in bfloat16 where they were quantized."""
    copied = copy.deepcopy(model)
    copied.set_adapter(name)
    if quantized(copied):
        return _merged_in_bfloat16(copied, name)
    plain = copied.merge_and_unload(adapter_names=[name])
    assert isinstance(plain, PreTrainedModel)
    return plain.requires_grad_(True)


def _merged_in_bfloat16(model: PeftModel, name: str) -> PreTrainedModel:
    """Layer by layer, so that no more than one is held in float32: the sum is made there, of the numbers that the adapter was learnt on."""
    for layer in list(model.modules()):
        adapted: Any = layer
        if isinstance(getattr(layer, "base_layer", None), Quantized):
            turned, adapted.base_layer = adapted.base_layer.turned, whole(adapted.base_layer)
            adapted.merge(adapter_names=[name])
            adapted.base_layer = as_it_stood(adapted.base_layer.bfloat16(), turned)
    plain = model.unload()
    assert isinstance(plain, PreTrainedModel)
    for path in [path for path, layer in plain.named_modules() if isinstance(layer, Quantized)]:  # those that had no adapter
        parent, _, own = path.rpartition(".")
        left: Any = plain.get_submodule(path)
        setattr(plain.get_submodule(parent), own, as_it_stood(whole(left).bfloat16(), left.turned))
    return plain.bfloat16().requires_grad_(True)


def save(model: PeftModel, name: str, directory: Path, base: str = "") -> None:
    """The adapter alone, as a folder that plain peft loads. `base` says which model it belongs on (a hub id, an artifact's hash).
    Raises Interrupted when the disk refuses."""
    state = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    config = copy.deepcopy(model.peft_config[name])
    own = model.get_base_model().name_or_path
    config.base_model_name_or_path = base or (config.base_model_name_or_path if config.base_model_name_or_path != own else None)
    config.inference_mode = True
    if isinstance(config, LoraConfig) and isinstance(config.target_modules, set):
        config.target_modules = sorted(config.target_modules)  # a set's order differs between processes, a file must not
    try:
        directory.mkdir(parents=True, exist_ok=True)
        save_file({key: state[key].detach().contiguous() for key in sorted(state)}, directory / WEIGHTS, metadata={"format": "pt"})
        config.save_pretrained(str(directory))
    except (OSError, SafetensorError) as problem:
        raise Interrupted(f"{directory}: the adapter could not be written ({problem}); free the disk and run again") from problem


def _unlike(model: PeftModel, config: PrefixTuningConfig) -> list[str]:
    """In what the model's keys and values differ from those that a prefix was learnt for: peft loads it into any model."""
    inner = model.get_base_model()
    assert isinstance(inner, PreTrainedModel)
    own = inner.config.get_text_config()
    heads = getattr(own, "num_key_value_heads", None) or own.num_attention_heads
    width = heads * (getattr(own, "head_dim", None) or own.hidden_size // own.num_attention_heads)
    wanted = {"num_layers": own.num_hidden_layers, "num_attention_heads": heads, "token_dim": width}
    found = {key: getattr(config, key) for key in wanted}
    return [f"{key}: {found[key]}, the model has {wanted[key]}" for key in wanted if found[key] != wanted[key]]


def load(model: PreTrainedModel | PeftModel, directory: Path, name: str) -> PeftModel:
    """`model` with the adapter in `directory` as `name`, active and frozen. Raises UserError for a folder that holds none, or one
    made for another shape of model."""
    _check_folder(directory)
    config = PeftConfig.from_pretrained(str(directory))
    config.inference_mode = True
    base, config.base_model_name_or_path = config.base_model_name_or_path, None
    try:
        state = load_file(directory / WEIGHTS)
        with torch.random.fork_rng(devices=[]):
            model = _added(model, config, name)
        told = set_peft_model_state_dict(model, state, adapter_name=name)
    except (ValueError, RuntimeError, SafetensorError) as problem:
        raise UserError(f"{directory}: this adapter doesn't fit the model ({str(problem).splitlines()[0]})") from problem
    lost = [key for key in told.missing_keys if f".{name}." in key] + told.unexpected_keys
    faults = _unlike(model, config) if isinstance(config, PrefixTuningConfig) else lost
    if faults:
        raise UserError(f"{directory}: this adapter doesn't fit the model (at {faults[0]})")
    model.set_adapter(name)
    model.peft_config[name].base_model_name_or_path = base  # peft writes where the weights lie on this machine
    freeze(model, name)
    return model.eval()


def _check_folder(directory: Path) -> None:
    for file in (SETTINGS, WEIGHTS):
        if not (directory / file).is_file():
            raise UserError(f"{directory}: no {file} here; an adapter's folder holds {SETTINGS} and {WEIGHTS}")
    if wrong := fault(directory / WEIGHTS):
        raise UserError(f"{directory / WEIGHTS} {wrong}; copy it again")
