"""The rules of the house, each a function from a source tree to a list of faults, so that a planted fault can show that it bites."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ORDER = ("core", "feedback", "synthetic", "data", "models", "objectives", "rollouts", "engine", "evals", "serve", "recipes", "cli")
WITHOUT_TORCH = ("core", "feedback", "synthetic")
BANNED = {"Manager", "Helper", "Helpers", "Util", "Utils", "Base", "Mixin"}
FILE_LINES, FUNCTION_LINES, DEPTH, STAGE_SETTINGS = 350, 60, 1, 20
Function = ast.FunctionDef | ast.AsyncFunctionDef


def files(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Every module below `root` (the folder of the package), as (path relative to it, syntax tree)."""
    for path in sorted(root.rglob("*.py")):
        yield path.relative_to(root).as_posix(), ast.parse(path.read_text(), str(path))


def functions(tree: ast.AST) -> Iterator[Function]:
    yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of whatever is imported anywhere in a module, also inside functions; `.` marks a relative import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)


def imports_to_the_right(root: Path) -> list[str]:
    """A package imports itself and those to its left in ORDER; files beside the packages (`__main__.py`, ...) may import all."""
    faults = []
    for name, tree in files(root):
        package = name.split("/")[0]
        if "/" not in name:
            continue
        if package not in ORDER:
            faults.append(f"{name}: package {package} has no place in the order")
            continue
        for line, target in imported(tree):
            parts = target.split(".")
            if target.startswith("."):
                faults.append(f"{name}:{line}: relative import")
            elif parts[0] == "tutelage" and len(parts) > 1 and parts[1] in ORDER and ORDER.index(parts[1]) > ORDER.index(package):
                faults.append(f"{name}:{line}: {package} imports {parts[1]}, which lies to its right")
    return faults


def torch_imports(root: Path) -> list[str]:
    """`core`, `feedback` and `synthetic` do not name torch, or what imports it."""
    return [
        f"{name}:{line}: imports {target}"
        for name, tree in files(root)
        if name.split("/")[0] in WITHOUT_TORCH
        for line, target in imported(tree)
        if target.split(".")[0] in ("torch", "transformers", "peft")
    ]


def long_files(root: Path) -> list[str]:
    lengths = {path: len(path.read_text().splitlines()) for path in sorted(root.rglob("*.py"))}
    return [f"{path.relative_to(root)}: {n} lines" for path, n in lengths.items() if n > FILE_LINES]


def long_functions(root: Path) -> list[str]:
    return [
        f"{name}:{f.lineno}: {f.name} has {length} lines"
        for name, tree in files(root)
        for f in functions(tree)
        if (length := (f.end_lineno or f.lineno) - f.lineno + 1) > FUNCTION_LINES
    ]


def deep_classes(root: Path) -> list[str]:
    """Inheritance among our own classes, by name: a class may extend one of ours that itself extends none of ours."""
    bases: dict[str, list[str]] = {}
    place: dict[str, str] = {}
    for name, tree in files(root):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases]
                place[node.name] = f"{name}:{node.lineno}"

    def depth(name: str, seen: tuple[str, ...] = ()) -> int:
        own = [base for base in bases[name] if base in bases and base not in seen and base != name]
        return max((1 + depth(base, (*seen, name)) for base in own), default=0)

    return [f"{place[name]}: {name} is {depth(name)} classes deep" for name in bases if depth(name) > DEPTH]


def banned_names(root: Path) -> list[str]:
    faults = []
    for name, tree in files(root):
        if set(re.split(r"[/_.]", name)) & {word.lower() for word in BANNED} - {"base"}:
            faults.append(f"{name}: banned file name")
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and set(re.findall(r"[A-Z][a-z0-9]*", node.name)) & BANNED:
                faults.append(f"{name}:{node.lineno}: banned name {node.name}")
    return faults


def passed_through(root: Path) -> list[str]:
    """`**anything` taken by a function and handed on to another hides what may be said. Named numbers (`**figures: float`) are data."""
    return [
        f"{name}:{call.lineno}: {f.name} passes **{f.args.kwarg.arg} through"
        for name, tree in files(root)
        for f in functions(tree)
        if f.args.kwarg and not (f.args.kwarg.annotation and ast.unparse(f.args.kwarg.annotation) == "float")
        for call in ast.walk(f)
        if isinstance(call, ast.Call)
        and any(k.arg is None and isinstance(k.value, ast.Name) and k.value.id == f.args.kwarg.arg for k in call.keywords)
    ]


def undocumented(root: Path) -> list[str]:
    """What another package imports has a docstring. The only class of a file may leave it to the file's own."""
    used = {
        target
        for name, tree in files(root)
        for _, target in imported(tree)
        if target.startswith("tutelage.") and target.split(".")[1] != name.split("/")[0]
    }
    faults = []
    for name, tree in files(root):
        module = f"tutelage.{name.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}"
        lone = sum(isinstance(node, ast.ClassDef) for node in tree.body) == 1 and ast.get_docstring(tree)
        for node in tree.body:
            if not isinstance(node, Function | ast.ClassDef) or f"{module}.{node.name}" not in used or ast.get_docstring(node):
                continue
            if not (lone and isinstance(node, ast.ClassDef)):
                faults.append(f"{name}:{node.lineno}: {node.name} is used by other packages and has no docstring")
    return faults


def unannotated(root: Path) -> list[str]:
    """Every parameter and every return of a function or method is annotated (`self` and `cls` apart)."""
    faults = []
    for name, tree in files(root):
        for f in functions(tree):
            arguments = [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs, f.args.vararg, f.args.kwarg]
            bare = [a.arg for a in arguments if a and a.annotation is None and a.arg not in ("self", "cls")]
            if bare or (f.returns is None and f.name != "__init__"):
                faults.append(f"{name}:{f.lineno}: {f.name} lacks annotations ({', '.join(bare) or 'return'})")
    return faults


def settings_of_a_stage(root: Path) -> list[str]:
    """A stage has at most 20 settings of its own: what has a `produces` is a stage."""
    faults = []
    for name, tree in files(root):
        for node in ast.walk(tree):
            if not (isinstance(node, ast.ClassDef) and name.startswith("recipes/stages/")):
                continue
            fields = {ast.unparse(f.target): ast.unparse(f.annotation) for f in node.body if isinstance(f, ast.AnnAssign)}
            own = [field for field, kind in fields.items() if "ClassVar" not in kind]
            if "produces" in fields and len(own) > STAGE_SETTINGS:
                faults.append(f"{name}:{node.lineno}: {node.name} has {len(own)} settings")
    return faults


def timed_assertions(root: Path) -> list[str]:
    """No test asserts that something took less than so long: how long it takes depends on what else runs. A deadline up to which it
    waits (`assert monotonic() < until`), and that at least so long was waited, are fine."""
    faults = []
    for name, tree in files(root):
        for node in ast.walk(tree):
            asserted = ast.walk(node.test) if isinstance(node, ast.Assert) else ()
            compared = [part for part in asserted if isinstance(part, ast.Compare) and isinstance(part.ops[0], ast.Lt | ast.LtE)]
            if any(_elapsed(part.left) for part in compared):
                faults.append(f"{name}:{node.lineno}: asserts how long something took")
    return faults


def _elapsed(node: ast.AST) -> bool:
    """Whether an expression has a clock's time less something."""
    clocks = ("perf_counter()", "monotonic()")
    return any(isinstance(n, ast.BinOp) and isinstance(n.op, ast.Sub) and ast.unparse(n.left).endswith(clocks) for n in ast.walk(node))


RULES = (
    imports_to_the_right,
    torch_imports,
    long_files,
    long_functions,
    deep_classes,
    banned_names,
    passed_through,
    undocumented,
    unannotated,
    settings_of_a_stage,
)
