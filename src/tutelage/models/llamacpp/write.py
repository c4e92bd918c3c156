"""A model's folder as one GGUF file, tensor by tensor: the header says where each will lie, then each is read, laid out, rounded and
written, so that memory holds one. The format is llama.cpp's own writer's (the package `gguf`), which also knows the names of weights.

Matrices take the type that is asked for, vectors and learnt positions stay float32, as in llama.cpp's own conversion.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf as library
import numpy as np
import torch
from gguf import GGMLQuantizationType as Kind
from torch import Tensor
from transformers import AutoConfig

from tutelage.core.errors import Interrupted, UserError
from tutelage.models import casting
from tutelage.models.casting import Stored
from tutelage.models.llamacpp.families import Family, family_of, frequencies
from tutelage.models.llamacpp.vocabulary import Vocabulary, vocabulary

KINDS = {"f32": Kind.F32, "f16": Kind.F16, "bf16": Kind.BF16, "q8_0": Kind.Q8_0}
FILE_TYPES = {"f32": 0, "f16": 1, "q8_0": 7, "bf16": 32}
"""llama.cpp's numbers of a whole file's type."""
BLOCK = 32
"""Numbers that share a scale in q8_0."""
FREQUENCIES = "rope_freqs.weight"
OWN_KIND = ("position_embd.weight",)
"""Matrices that stay float32."""


def gguf(folder: Path, path: Path, dtype: str) -> tuple[str, ...]:
    """Write the model in `folder` to the file `path` with matrices in `dtype` (f32, f16, bf16, q8_0). Returns what a user should know.
    Raises UserError for a family, a setting or a tokenizer that llama.cpp would compute otherwise, Interrupted when the disk refuses."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    family = family_of(config, str(folder))
    try:
        fields = family.fields(config)
    except UserError as problem:
        raise UserError(f"{folder}: {problem}") from problem
    parts, named = weights(folder, family, config.num_hidden_layers)
    words = vocabulary(folder, next(part.shape[0] for part in parts if named[part.name] == "token_embd.weight"))
    shapes = {part.name: shape_of(part, family, config) for part in parts}
    kinds = {name: kind_of(shape, named[name], dtype) for name, shape in shapes.items()}
    writer = library.GGUFWriter(str(path), family.arch)
    try:
        describe(writer, family.arch, fields, words, FILE_TYPES[dtype])
        announce(writer, [(named[name], shape, kinds[name]) for name, shape in shapes.items()], frequencies(config))
        for name, x in laid_out(parts, family, config):
            writer.write_tensor_data(numbers(x, kinds[name]))
    except OSError as problem:
        raise Interrupted(f"{path}: could not be written ({problem}); free the disk and run again") from problem
    finally:
        writer.close()
    wide = [part.name for part in parts if kinds[part.name] is Kind.F16 and dtype == "q8_0"]
    odd = (f"{len(wide)} matrices whose rows are no multiple of {BLOCK} stay f16 (such as {wide[0]})",) if wide else ()
    limit = config.max_position_embeddings
    short = fields["context_length"] < limit
    window = (
        (f"the context is {fields['context_length']} instead of {limit}: llama.cpp knows no sliding window in this family",)
        if short
        else ()
    )
    return (*words.notes, *odd, *window)


def weights(folder: Path, family: Family, layers: int) -> tuple[list[Stored], dict[str, str]]:
    """The tensors to be written, and llama.cpp's name for each. UserError for one that has none."""
    names = library.get_tensor_name_map(getattr(library.MODEL_ARCH, family.arch.upper()), layers)
    parts, named = [], {}
    for part in casting.stored(folder).values():
        found = names.get_name(part.name, try_suffixes=(".weight", ".bias"))
        if found is None:
            raise UserError(f"{folder}: llama.cpp's {family.arch} has no place for the weights {part.name}")
        parts.append(part)
        named[part.name] = found
    return parts, named


def shape_of(part: Stored, family: Family, config: Any) -> tuple[int, ...]:
    """The shape that a tensor is written in."""
    return tuple(family.laid_out(part.name, torch.empty(part.shape, device="meta"), config).shape)


def kind_of(shape: tuple[int, ...], name: str, dtype: str) -> Kind:
    """The type that a tensor is written in."""
    if len(shape) < 2 or name in OWN_KIND:
        return Kind.F32
    return Kind.F16 if dtype == "q8_0" and shape[-1] % BLOCK else KINDS[dtype]


def describe(writer: Any, arch: str, fields: dict[str, Any], words: Vocabulary, file_type: int) -> None:
    """Everything but the weights. No name: llama.cpp takes special tokens of its own for granted in what is named after some models."""
    writer.add_type(library.GGUFType.MODEL)
    writer.add_file_type(file_type)
    writer.add_quantization_version(library.GGML_QUANT_VERSION)
    for key, value in fields.items():
        put(writer, f"{arch}.{key}", value)
    writer.add_tokenizer_model(words.kind)
    writer.add_tokenizer_pre(words.cut)
    writer.add_token_list(list(words.tokens))
    writer.add_token_types(list(words.kinds))
    if words.kind == "llama":
        writer.add_token_scores(list(words.scores))
        writer.add_add_space_prefix(words.space)
    else:
        writer.add_token_merges(list(words.merges))
    writer.add_eos_token_id(words.eos)
    if words.bos is not None:
        writer.add_bos_token_id(words.bos)
    if words.pad is not None:
        writer.add_pad_token_id(words.pad)
    if words.unknown is not None:
        writer.add_unk_token_id(words.unknown)
    writer.add_add_bos_token(words.adds_bos)
    writer.add_add_eos_token(words.adds_eos)
    if words.chat_template:
        writer.add_chat_template(words.chat_template)


def put(writer: Any, key: str, value: Any) -> None:
    """A field by the type of its value; whole numbers are unsigned."""
    kinds = {bool: "add_bool", int: "add_uint32", float: "add_float32", str: "add_string", list: "add_array"}
    getattr(writer, kinds[type(value)])(key, value)


def announce(writer: Any, places: list[tuple[str, tuple[int, ...], Kind]], divisors: Tensor | None) -> None:
    """Header and places of all tensors; then Llama 3's divisors, which come first."""
    if divisors is not None:
        places = [(FREQUENCIES, tuple(divisors.shape), Kind.F32), *places]
    for name, shape, kind in places:
        plain = {Kind.F32: np.dtype(np.float32), Kind.F16: np.dtype(np.float16)}.get(kind)
        lies = shape if plain else library.quant_shape_to_byte_shape(shape, kind)
        number = plain or np.dtype(np.uint8)
        writer.add_tensor_info(name, lies, number, int(np.prod(lies)) * number.itemsize, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    if divisors is not None:
        writer.write_tensor_data(divisors.numpy())


def laid_out(parts: list[Stored], family: Family, config: Any) -> Iterator[tuple[str, Tensor]]:
    """Name in transformers, and the tensor as llama.cpp wants it."""
    for part, x in casting.read(parts):
        yield part.name, family.laid_out(part.name, x, config)


def numbers(x: Tensor, kind: Kind) -> np.ndarray:
    """The bytes of a tensor in its type."""
    if kind is Kind.BF16:
        return x.to(torch.bfloat16).contiguous().view(torch.uint8).numpy()
    if kind is Kind.F16:
        return x.to(torch.float16).numpy()
    return library.quants.quantize(x.float().numpy(), kind)
