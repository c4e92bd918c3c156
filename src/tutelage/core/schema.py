"""What the settings of a dataclass are: their texts, read from the string literal under each field, and a JSON Schema for editors."""

import ast
import dataclasses
import inspect
import textwrap
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args, get_origin

import annotated_types as at

from tutelage.core.building import hints, is_union, key, to_plain
from tutelage.core.ranges import flat

Schema = dict[str, Any]
TYPES: dict[Any, str] = {float: "number", int: "integer", bool: "boolean", str: "string", Path: "string", type(None): "null"}


@cache
def documentation(cls: type) -> dict[str, str]:
    """{field: text}: the string literal under each field of `cls` and of the dataclasses it extends."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if dataclasses.is_dataclass(base):
            found |= _literals(base)
    return found


def _literals(cls: type) -> dict[str, str]:
    """Empty where there is no source to read (a class made at run time)."""
    try:
        body = cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]).body
    except (OSError, TypeError):
        return {}
    found: dict[str, str] = {}
    for pair in pairwise(body):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
            case _:
                pass
    return found


def json_schema(cls: type) -> Schema:
    """JSON Schema (draft 2020-12) of a dataclass; nested ones stand under `$defs`."""
    defs: dict[str, Schema] = {}
    schema = _object(cls, defs)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, **({"$defs": defs} if defs else {})}


def _object(cls: type, defs: dict[str, Schema]) -> Schema:
    fields = [field for field in dataclasses.fields(cls) if field.init]
    texts, types = documentation(cls), hints(cls)
    required = [key(f) for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
    schema: Schema = {"title": cls.__name__, "type": "object", "additionalProperties": False}
    schema["properties"] = {key(f): _property(f, types[f.name], texts.get(f.name, ""), defs) for f in fields}
    return {**schema, **({"required": required} if required else {})}


def _property(field: "dataclasses.Field[Any]", hint: Any, text: str, defs: dict[str, Schema]) -> Schema:
    schema = dict(_schema(hint, defs))
    if text:
        schema["description"] = text
    if field.default is not dataclasses.MISSING:
        schema["default"] = to_plain(field.default)
    elif field.default_factory is not dataclasses.MISSING:
        schema["default"] = to_plain(field.default_factory())
    return schema


def _schema(hint: Any, defs: dict[str, Schema]) -> Schema:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return {**_schema(args[0], defs), **_range(hint.__metadata__)}
    if is_union(hint):
        return {"anyOf": [_schema(member, defs) for member in args]}
    if origin is Literal:
        return {"enum": list(args)}
    if dataclasses.is_dataclass(hint):
        return _reference(cast(type, hint), defs)
    if origin in (tuple, list) or hint in (tuple, list):
        return _array(args, defs)
    if origin is not None or hint is dict:
        return {"type": "object", **({"additionalProperties": _schema(args[1], defs)} if args else {})}
    return {"type": TYPES[hint]} if hint in TYPES else {}


def _reference(cls: type, defs: dict[str, Schema]) -> Schema:
    if cls.__name__ not in defs:
        defs[cls.__name__] = {}  # a class may contain itself
        defs[cls.__name__] = _object(cls, defs)
    return {"$ref": f"#/$defs/{cls.__name__}"}


def _array(args: tuple[Any, ...], defs: dict[str, Schema]) -> Schema:
    if not args:
        return {"type": "array"}
    if len(args) == 1 or args[-1] is Ellipsis:
        return {"type": "array", "items": _schema(args[0], defs)}
    return {"type": "array", "prefixItems": [_schema(arg, defs) for arg in args], "minItems": len(args), "maxItems": len(args)}


def _range(metadata: tuple[object, ...]) -> Schema:
    found: Schema = {}
    for mark in flat(metadata):
        match mark:
            case at.Ge(ge):
                found["minimum"] = ge
            case at.Gt(gt):
                found["exclusiveMinimum"] = gt
            case at.Le(le):
                found["maximum"] = le
            case at.Lt(lt):
                found["exclusiveMaximum"] = lt
            case at.MinLen(length):
                found["minItems"] = length
            case at.MaxLen(length):
                found["maxItems"] = length
            case at.MultipleOf(of):
                found["multipleOf"] = of
            case _:
                pass
    return found
