"""The source keeps the rules; and each rule, shown a small tree with one planted fault, names it."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from tests.structure import rules

SOURCE = Path(__file__).parents[2] / "src" / "tutelage"

PLANTED = {
    rules.imports_to_the_right: ("data/late.py", "def f() -> None:\n    from tutelage.engine import loop\n", "data imports engine"),
    rules.torch_imports: ("feedback/heavy.py", "import torch.nn\n", "imports torch.nn"),
    rules.long_files: ("core/long.py", "x = 1\n" * 351, "351 lines"),
    rules.long_functions: ("core/f.py", "def f() -> None:\n" + "    pass\n" * 60, "f has 61 lines"),
    rules.deep_classes: ("core/deep.py", "class A: ...\nclass B(A): ...\nclass C(B): ...\n", "C is 2 classes deep"),
    rules.banned_names: ("core/names.py", "class RunManager: ...\n", "banned name RunManager"),
    rules.passed_through: ("core/kw.py", "def f(**options: int) -> None:\n    g(**options)\n", "passes **options through"),
    rules.undocumented: ("core/bare.py", "def f() -> None: ...\n", "f is used by other packages and has no docstring"),
    rules.unannotated: ("core/types.py", "def f(x) -> None: ...\n", "f lacks annotations (x)"),
    rules.settings_of_a_stage: (
        "recipes/stages/many.py",
        "class Many:\n    produces: ClassVar[str] = 'model'\n" + "".join(f"    s{i}: int = 0\n" for i in range(21)),
        "Many has 21 settings",
    ),
}

ALLOWED = """\"\"\"Nothing wrong here.\"\"\"
from sqlalchemy import Table
class Stage:
    \"\"\"Ours.\"\"\"
class Sft(Stage):
    \"\"\"One level.\"\"\"
def ask(text: str, **tags: str) -> dict[str, str]:
    \"\"\"Takes names, hands none on.\"\"\"
    return {**tags, "text": text}
"""


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps(rule):
    assert rule(SOURCE) == []


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_a_planted_fault_is_named_and_nothing_else(rule, tmp_path):
    name, text, fault = PLANTED[rule]
    for path, content in {name: text, "core/fine.py": ALLOWED, "data/user.py": "from tutelage.core.bare import f\n"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    found = rule(tmp_path)
    assert len(found) == 1 and fault in found[0] and found[0].startswith(name)


def test_no_test_asserts_how_long_something_took(tmp_path):
    assert rules.timed_assertions(SOURCE.parents[1] / "tests") == []
    fine = "assert time.monotonic() < until\nassert time.monotonic() - began > 0.3\n"
    (tmp_path / "test_fast.py").write_text(fine + "assert done and time.perf_counter() - began < 5\n")
    assert rules.timed_assertions(tmp_path) == ["test_fast.py:3: asserts how long something took"]


def test_a_stage_has_few_settings_with_those_that_it_inherits():
    from tutelage.recipes import methods

    own = {name: len(dataclasses.fields(methods.find(name, "here").stage)) for name in methods.names()}
    assert max(own.values()) <= rules.STAGE_SETTINGS, own


def imports_torch(package: str, path: Path) -> bool:
    code = (
        "import sys, pkgutil, importlib\n"
        f"package = importlib.import_module('{package}')\n"
        "for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "    importlib.import_module(module.name)\n"
        "sys.exit(3 if 'torch' in sys.modules else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(path), "PATH": ""}, capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr
    return done.returncode == 3


@pytest.mark.parametrize("package", rules.WITHOUT_TORCH)
def test_imports_without_torch(package):
    assert not imports_torch(f"tutelage.{package}", SOURCE.parent)


def test_a_hidden_import_of_torch_is_seen(tmp_path):
    (tmp_path / "light").mkdir()
    (tmp_path / "light" / "__init__.py").write_text("")
    (tmp_path / "light" / "heavy.py").write_text("name = 'tor' + 'ch'\n__import__(name)\n")
    (tmp_path / "torch.py").write_text("")
    assert imports_torch("light", tmp_path)
