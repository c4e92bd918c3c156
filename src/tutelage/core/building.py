"""Plain trees to frozen dataclasses and back, by their type hints, strictly: nothing is guessed, converted or dropped.

A whole number may stand where a float is wanted; that is the only conversion. Text is never a number, a bool is never an int, an
unknown key is an error with a suggestion, and ranges are `Annotated[float, Ge(0)]` (annotated_types). A field `from_` is the key
`from`. What a class checks itself in `__post_init__` (ValueError or UserError) is reported at its place.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

from tutelage.core.errors import UserError
from tutelage.core.located import Lines, Place, Plain, located
from tutelage.core.ranges import violation

T = TypeVar("T")

SCALARS: dict[Any, str] = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    type(None): "null",
}


def build(cls: type[T], tree: object, where: str, lines: Lines | None = None, at: Place = ()) -> T:
    """An instance of the dataclass `cls` from a plain tree. Nested settings given in part keep the rest of the field's own default.

    `where` is the file as errors name it, `lines` the line marks of the whole file, and `at` the place of `tree` within it:
    build(PPO, tree["stages"]["ppo"], "recipe.yaml", lines, ("stages", "ppo")). Raises UserError: line, path, what would be right.
    """
    try:
        return cast(T, convert(cls, tree, at))
    except _Wrong as wrong:
        raise UserError(f"{located(wrong.place, where, lines or {})}: {wrong.what}") from None


def closest(name: str, names: Iterable[str]) -> str:
    """`; did you mean 'kl_coef'?`, or nothing if no name is near."""
    by_lower = {other.lower(): other for other in names}
    found = difflib.get_close_matches(str(name).lower(), by_lower, n=1)
    return f"; did you mean '{by_lower[found[0]]}'?" if found else ""


def to_plain(value: object) -> Plain:
    """The plain tree of a dataclass, defaults included; `build` makes an equal one of it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key(field): to_plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
    if isinstance(value, Mapping):
        return {str(name): to_plain(inner) for name, inner in cast(Mapping[object, object], value).items()}
    if isinstance(value, tuple | list):
        return [to_plain(inner) for inner in cast(Iterable[object], value)]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{type(value).__name__} has no plain form; settings hold numbers, text, paths, tuples, dicts and dataclasses")


def key(field: "dataclasses.Field[Any]") -> str:
    """The YAML key of a field: its name, without the underscore that keeps `from_` off Python's keyword."""
    return field.name.rstrip("_")


@cache
def hints(cls: type) -> dict[str, Any]:
    """The type hint of each field, ranges included."""
    return typing.get_type_hints(cls, include_extras=True)


def is_union(hint: Any) -> bool:
    """Whether a hint is a choice of types, `int | None`."""
    return get_origin(hint) in (Union, types.UnionType)


class _Wrong(Exception):
    """A value that doesn't fit, with its place."""

    def __init__(self, place: Place, what: str) -> None:
        super().__init__(what)
        self.place, self.what = place, what


def convert(hint: Any, value: Any, at: Place) -> Any:
    """`value` as the type `hint`; raises `_Wrong`."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _within(hint, convert(get_args(hint)[0], value, at), at)
    if is_union(hint):
        return _union(get_args(hint), value, at)
    if origin is Literal:
        return _literal(get_args(hint), value, at)
    if dataclasses.is_dataclass(hint):
        return _dataclass(cast(type, hint), value, at)
    if origin in (tuple, list) or hint in (tuple, list):
        return _sequence(hint, value, at)
    if origin is dict or (isinstance(origin, type) and issubclass(origin, Mapping)) or hint is dict:
        return _dict(get_args(hint), value, at)
    if hint in (Any, object):
        return value
    return _scalar(hint, value, at)


def _within(hint: Any, value: Any, at: Place) -> Any:
    what = None if value is None else violation(value, hint.__metadata__)
    if what:
        raise _Wrong(at, what)
    return value


def _dataclass(cls: type, value: Any, at: Place) -> Any:
    if not isinstance(value, dict):
        raise _Wrong(at, f"expected settings ({_some_keys(cls)}), got {said(value)}")
    given = cast(dict[str, Any], value)
    fields = {key(field): field for field in dataclasses.fields(cls) if field.init}
    for name in given:
        if name not in fields:
            raise _Wrong((*at, name), f"unknown setting{closest(name, fields) or known(fields)}")
    for name, field in fields.items():
        if name not in given and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise _Wrong(at, f"the setting '{name}' is missing ({named(hints(cls)[field.name])})")
    filled = {name: _filled(fields[name], inner) for name, inner in given.items()}
    made = {fields[name].name: convert(hints(cls)[fields[name].name], inner, (*at, name)) for name, inner in filled.items()}
    try:
        return cls(**made)
    except (ValueError, UserError) as error:
        raise _Wrong(at, str(error)) from None


def _filled(field: "dataclasses.Field[Any]", given: Any) -> Any:
    """Nested settings that are given in part keep the rest of *this field's* default, not of their class's: a stage's own schedule
    stays when only its learning rate is set."""
    default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    if isinstance(given, dict) and dataclasses.is_dataclass(default) and not isinstance(default, type):
        return _over(to_plain(default), cast(dict[str, Any], given))
    return cast(Any, given)


def _over(default: Any, given: dict[str, Any]) -> dict[str, Any]:
    both = {
        name: _over(default[name], cast(dict[str, Any], inner))
        for name, inner in given.items()
        if isinstance(inner, dict) and isinstance(default.get(name), dict)
    }
    return {**default, **given, **both}


def _sequence(hint: Any, value: Any, at: Place) -> Any:
    kind: Any = get_origin(hint) or hint
    if not isinstance(value, list | tuple):
        raise _Wrong(at, f"expected {named(hint)}, got {said(value)}")
    items, of = list(cast(Iterable[Any], value)), get_args(hint) or (Any, ...)
    if kind is list or of[-1] is Ellipsis:
        made = [convert(of[0], item, (*at, number)) for number, item in enumerate(items)]
        return made if kind is list else tuple(made)
    if len(items) != len(of):
        raise _Wrong(at, f"expected {len(of)} items, got {len(items)}")
    return tuple(convert(of[number], item, (*at, number)) for number, item in enumerate(items))


def _dict(args: tuple[Any, ...], value: Any, at: Place) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _Wrong(at, f"expected names with values, got {said(value)}")
    of = args[1] if args else Any
    return {name: convert(of, inner, (*at, name)) for name, inner in cast(Mapping[str, Any], value).items()}


def _literal(options: tuple[Any, ...], value: Any, at: Place) -> Any:
    for option in options:
        if type(option) is type(value) and option == value:
            return option
    near = closest(value, [str(option) for option in options]) if isinstance(value, str) else ""
    raise _Wrong(at, f"{said(value)} is not one of {', '.join(str(option) for option in options)}{near}")


def _union(members: tuple[Any, ...], value: Any, at: Place) -> Any:
    """The first member that takes the value; if none does, the error of the member whose shape fits (deepest, then first)."""
    if value is None and type(None) in members:
        return None
    wrongs: list[_Wrong] = []
    meant = [m for m in members if m is not type(None)]
    if all(dataclasses.is_dataclass(m) and "kind" in hints(cast(type, m)) for m in meant):
        meant = [_of_kind(meant, value, at)]
    for member in sorted(meant, key=lambda m: not _exact(m, value)):
        try:
            return convert(member, value, at)
        except _Wrong as wrong:
            wrongs.append(wrong)
    inside = [wrong for wrong in wrongs if len(wrong.place) > len(at)]
    if inside or len(wrongs) == 1:
        raise max(inside or wrongs, key=lambda wrong: len(wrong.place))
    ranged = [wrong for wrong in wrongs if not wrong.what.startswith("expected")]
    raise ranged[0] if ranged else _Wrong(at, f"expected {' or '.join(named(m) for m in members)}, got {said(value)}")


def _of_kind(members: Sequence[Any], value: Any, at: Place) -> Any:
    """Settings of several kinds: the one whose `kind` is given, or the first where none is."""
    given = cast(dict[str, Any], value).get("kind") if isinstance(value, dict) else None
    kinds = {get_args(hints(member)["kind"])[0]: member for member in members}
    return members[0] if given is None else kinds[_literal(tuple(kinds), given, (*at, "kind"))]


def _exact(member: Any, value: Any) -> bool:
    """5 in `float | int` is an int."""
    return member is type(value) or (get_origin(member) is Annotated and get_args(member)[0] is type(value))


def _scalar(hint: Any, value: Any, at: Place) -> Any:
    if hint not in SCALARS:
        raise TypeError(f"settings cannot hold {hint!r}; use numbers, text, paths, tuples, dicts, Literal, unions and dataclasses")
    if hint is float and type(value) is int:
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if type(value) is not hint:
        raise _Wrong(at, f"expected {SCALARS[hint]}, got {said(value)}{_remedy(hint, value)}")
    if hint is float and math.isnan(value):
        raise _Wrong(at, "expected a number, got .nan")
    return value


def _remedy(hint: Any, value: Any) -> str:
    if isinstance(value, list) and hint is not type(None):
        return "; a sweep over a list is not supported, give one value"
    if hint in (int, float) and isinstance(value, str):
        try:
            float(value)
        except ValueError:
            return ""
        return f"; write {value} without quotes"
    if hint is int and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    if hint is str and isinstance(value, int | float):
        return "; write it in quotes"
    return ""


def said(value: Any) -> str:
    """A value as an error quotes it, in YAML's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "settings"
    if isinstance(value, list | tuple):
        return "a list"
    return f"the text '{value}'" if isinstance(value, str) else repr(value)


def named(hint: Any) -> str:
    """A type in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return named(args[0])
    if is_union(hint):
        return " or ".join(named(member) for member in args)
    if origin is Literal:
        return "one of " + ", ".join(str(option) for option in args)
    if origin in (tuple, list) or hint in (tuple, list):
        return f"a list of {named(args[0])}" if args and args[-1] in (Ellipsis, args[0]) else "a list"
    if dataclasses.is_dataclass(hint):
        return f"settings ({_some_keys(cast(type, hint))})"
    return SCALARS.get(hint, "names with values" if origin else "a value")


def known(names: Iterable[str]) -> str:
    listed = sorted(names)
    if not listed:
        return "; there are none here"
    return f"; known are {', '.join(listed[:12])}{', ...' if len(listed) > 12 else ''}"


def _some_keys(cls: type) -> str:
    names = [key(field) for field in dataclasses.fields(cls) if field.init]
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
