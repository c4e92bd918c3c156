"""The reference of recipes and the equations of methods, written from the code that they describe.

    python -m tutelage.recipes.handbook docs     writes docs/reference.md and the blocks `<!-- objective: dpo -->` of docs/methods.md

A setting is documented once, under its field: its name, type, range, default and text are read from the dataclass that `build` holds
recipes to, so the page can't promise what a recipe refuses. An equation and its source stand at the top of the objective's file. A
class that several stages share (rates, machine, ...) has one section, and a stage's row says where its own defaults differ.
"""

import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from tutelage.core.building import hints, is_union, key, to_plain
from tutelage.core.errors import UserError
from tutelage.core.files import write_atomic
from tutelage.core.ranges import bounds
from tutelage.core.schema import TYPES, documentation
from tutelage.core.settings import Plain, write_yaml
from tutelage.feedback.study.study import Study
from tutelage.recipes import methods
from tutelage.recipes.recipe import Page
from tutelage.recipes.stage import Kind

ORDER = ("pretrain", "sft", "label", "reward", "dpo", "ppo", "grpo", "evaluate")
"""Methods in the order of a pipeline; what isn't here comes after, by name."""
NAMES: dict[Any, str] = {float: "number", int: "whole number", bool: "`true` or `false`", str: "text", Path: "path", type(None): "`null`"}
KINDS: Mapping[Kind, str] = {
    "model": "a model",
    "reward": "a reward model",
    "annotations": "annotations",
    "report": "a report",
    "input": "an input",
    "nothing": "`null`",
}
HEAD = "| setting | type | default | |\n| --- | --- | --- | --- |\n"
MARK = re.compile(r"(<!-- objective: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
Row = tuple[str, str, str, str]
"""Setting, type, default, text; all Markdown."""


def reference() -> str:
    """docs/reference.md, whole."""
    steps = [(name, methods.find(name, "reference")) for name in sorted(methods.names(), key=place)]
    tops = [Page, *dict.fromkeys(cls for _, m in steps for cls in (m.stage, m.objective) if cls), Study]
    shared = sorted(several(tops), key=lambda cls: title(cls))
    parts = [INTRODUCTION, "## The page\n", table(Page, shared)]
    for name, method in steps:
        parts += [f"## {name}\n", told(method), table(method.stage, shared, method.objective)]
    parts += ["## Shared settings\n", "Where a stage's own defaults differ from these, its row says so; else it says *as there*.\n"]
    study = set(several([Study]))
    for cls in [cls for cls in shared if cls not in study]:
        parts += [f"### {title(cls)}\n", f"{about(cls)}\n", table(cls, shared)]
    parts += ["## A study\n", STUDY, table(Study, shared)]
    for cls in [cls for cls in shared if cls in study]:
        parts += [f"### {title(cls)}\n", f"{about(cls)}\n", table(cls, shared)]
    return "\n".join(parts).rstrip() + "\n"


def place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def title(cls: type[Any]) -> str:
    """What a section is called."""
    return cls.__name__.lower()


def told(method: methods.Method) -> str:
    """What a method does, reads and leaves, in a line each."""
    takes = [f"`{field}`: {' or '.join(KINDS[kind] for kind in kinds)}" for field, kinds in method.stage.takes.items()]
    does = about(method.objective or method.stage)
    return f"{does} Reads {', '.join(takes)}. Leaves {KINDS[method.stage.produces]}. [What it computes](methods.md#{method.name}).\n"


def about(cls: type[Any]) -> str:
    """A class's own sentence; that of its file where it has none."""
    text = inspect.cleandoc(cls.__doc__ or "")
    if not text or text.startswith(f"{cls.__name__}("):  # what @dataclass makes where nothing was written
        text = inspect.cleandoc(sys.modules[cls.__module__].__doc__ or "")
    sentence = " ".join(text.split("\n\n")[0].split())
    return sentence if sentence.endswith(".") else f"{sentence}."


def table(cls: type[Any], shared: list[type[Any]], besides: type[Any] | None = None) -> str:
    """Every setting of a class (and of the objective that shares its line) in the order in which they are written."""
    found = [*rows(besides, shared), *rows(cls, shared)] if besides else [*rows(cls, shared)]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in found)


def rows(cls: type[Any], shared: list[type[Any]], path: str = "", own: object = None) -> Iterator[Row]:
    """A row a setting; the settings of a class that nothing else has stand in place, `loss.clip`. `own` is the instance that is the
    default where the class stands inside of another. A field whose default is made where it is read says it in its metadata, as
    does one whose own settings are written `beside` it."""
    texts, types = documentation(cls), hints(cls)
    for field in (field for field in dataclasses.fields(cls) if field.init and not field.metadata.get("beside")):
        hint, name = types[field.name], f"{path}{key(field)}"
        default = getattr(own, field.name) if own is not None else default_of(field)
        text = texts.get(field.name) or about_of(hint)
        if isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint not in shared:
            yield (f"`{name}`", "settings", "", escaped(text))
            yield from rows(hint, shared, f"{name}.", None if default is dataclasses.MISSING else default)
        else:
            yield (f"`{name}`", words(hint), field.metadata.get("default", written(default)), escaped(text))


def default_of(field: "dataclasses.Field[Any]") -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def written(default: Any) -> str:
    """A default as a recipe would say it; of settings shared by several stages only what differs from their own defaults."""
    if default is dataclasses.MISSING:
        return "required"
    plain = to_plain(default)
    if dataclasses.is_dataclass(default) and isinstance(plain, dict):
        usual = cast(dict[str, Plain], to_plain(type(default)()))
        plain = {name: value for name, value in plain.items() if value != usual[name]}
        return f"`{flow(plain)}`" if plain else "*as there*"
    return f"`{flow(plain)}`"


def flow(plain: Plain) -> str:
    """YAML on one line."""
    if isinstance(plain, dict):
        return "{" + ", ".join(f"{name}: {flow(value)}" for name, value in plain.items()) + "}"
    if isinstance(plain, list):
        return "[" + ", ".join(flow(value) for value in plain) + "]"
    return write_yaml({"x": plain}).removeprefix("x: ").strip()


def words(hint: Any) -> str:
    """A type in words: `number > 0 or null`."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        limits = bounds(hint.__metadata__).replace("value", "x").replace(">=", "≥").replace("<=", "≤")
        return f"{words(args[0])}{', ' if 'x' in limits else ' '}{limits}".strip()
    if is_union(hint):
        return " or ".join(words(member) for member in args)
    if origin is Literal:
        return " · ".join(f"`{value}`" for value in args)
    if dataclasses.is_dataclass(hint):
        return f"[{title(cast(type, hint))}](#{title(cast(type, hint))})"
    if origin in (tuple, list):
        return f"list of {words(args[0])}" if args else "list"
    if origin is not None or hint is dict:
        return f"{words(args[1])}, by name" if args and args[1] is not Any else "settings"
    return NAMES.get(hint, TYPES.get(hint, "settings"))


def several(tops: list[Any]) -> list[type[Any]]:
    """Classes of settings that get a section: those that more than one field has, and those that stand for one of several choices."""
    seen: dict[type[Any], int] = {}
    chosen: set[type[Any]] = set()
    todo = list(tops)
    while todo:
        cls = todo.pop()
        for hint in (hints(cls)[field.name] for field in dataclasses.fields(cls) if field.init):
            for inner in inside(hint):
                if inner not in seen and inner not in tops:
                    todo.append(inner)
                seen[inner] = seen.get(inner, 0) + 1
                if hint is not inner:
                    chosen.add(inner)
    return [cls for cls, times in seen.items() if (times > 1 or cls in chosen) and cls not in tops]


def inside(hint: Any) -> Iterator[type[Any]]:
    """The dataclasses that a hint names, at any depth."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
    for inner in get_args(hint):
        yield from inside(inner)


def about_of(hint: Any) -> str:
    """What the one class of settings that a hint names says of itself; nothing where there are more or none."""
    found = list(inside(hint))
    return about(found[0]) if len(found) == 1 else ""


def escaped(text: str) -> str:
    """One line of a table; `{...}` of YAML as code, so that nothing is read as Markdown."""
    line = " ".join(text.split()).replace("|", "\\|").replace("(docs/decisions.md)", "([decisions](decisions.md))")
    pieces = re.split(r"(`[^`]*`)", line)
    return "".join(piece if piece.startswith("`") else re.sub(r"(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})", r"`\1`", piece) for piece in pieces)


def objective(name: str) -> str:
    """An objective in Markdown: what stands at the top of its file, and its settings."""
    module = importlib.import_module(f"{methods.OBJECTIVES}.{name}")
    paragraphs = (module.__doc__ or "").strip().split("\n\n")
    text = "\n\n".join(p for p in paragraphs if not p.startswith("Shape suffixes"))
    cls = methods.objective(name, "handbook")
    own = table(cls, []) if dataclasses.fields(cls) else ""
    linked = text.replace("(docs/decisions.md)", "([decisions](decisions.md))")
    return f"\n{linked}\n\n{own}\n".replace("\n\n\n", "\n\n")


def filled(page: str) -> str:
    """A page with what stands between `<!-- objective: NAME -->` and `<!-- end -->` written anew."""
    return MARK.sub(lambda found: f"{found[1]}{objective(found[2])}{found[3]}", page)


def write(folder: Path) -> list[Path]:
    """Write both pages below `folder`; give those that changed."""
    pages = {folder / "reference.md": reference(), folder / "methods.md": filled((folder / "methods.md").read_text())}
    changed = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
    for path in changed:
        write_atomic(path, pages[path].encode())
    return changed


INTRODUCTION = """# Recipe reference

Every setting of every stage, written from the code by `python -m tutelage.recipes.handbook docs`; a test holds it to what recipes are
checked against. A setting's path is where it stands in the recipe: `stages.ppo.rates.learning_rate=1e-5` on the command line. Settings
inside of others may be given in part: `rates: {learning_rate: 1.0e-5}` keeps the rest of the stage's own defaults. `null` is a value like
any other. An unknown setting, a wrong type or a number out of range is one sentence with its line, before anything runs.

Ranges in the second column are refused outside; those in the text are what is usual.
"""
STUDY = """`study.yaml`, which `tutelage label` opens and stages `by: people` take as `study:` ([labelling](labelling.md)).
"""

if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "methods.md").exists():
        raise UserError("give the folder of the documentation, the one with methods.md: python -m tutelage.recipes.handbook docs")
    for path in write(Path(sys.argv[1])):
        print(path)
