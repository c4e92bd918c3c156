"""From `method:` to code, without a registry: a file's name is the method's name, and an outsider's is given by import path.

sft, label, evaluate, ...      recipes/stages/<method>.py
dpo, ...                       objectives/<method>.py, trained by the stage in recipes/stages/preference.py
my.package:MyStage             a stage of yours
my.package:MyObjective         an objective of yours, trained like dpo
"""

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tutelage.core.errors import UserError
from tutelage.core.settings import closest

GENERIC = "preference"
"""The stage that trains objectives that have no stage of their own."""
STAGES = "tutelage.recipes.stages"
OBJECTIVES = "tutelage.objectives"


@dataclass(frozen=True)
class Method:
    """The stage's class, and the objective's where the stage trains any."""

    name: str
    stage: type[Any]
    objective: type[Any] | None = None


def find(name: str, place: str) -> Method:
    """The method called `name`. `place` (file, line, setting) begins the UserError for one that isn't there."""
    if ":" in name:
        found = imported(name, place)
        return Method(name, generic(), found) if is_objective(found) else Method(name, found)
    if name in modules(STAGES) and name != GENERIC:
        return Method(name, only_class(f"{STAGES}.{name}", is_stage))
    if name in modules(OBJECTIVES) and name in objectives():
        return Method(name, generic(), objective(name, place))
    raise UserError(f"{place}: there is no method '{name}'{closest(name, names()) or '; methods are ' + ', '.join(names())}")


def objective(name: str, place: str) -> type[Any]:
    """The objective called `name`, or at an import path: what `tutelage prove` is given."""
    if ":" in name:
        found = imported(name, place)
        if not is_objective(found):
            raise UserError(f"{place}: {name} is no objective (collate, loss, specimens)")
        return found
    if name not in objectives():
        raise UserError(f"{place}: there is no objective '{name}'{closest(name, objectives())}")
    return only_class(f"{OBJECTIVES}.{name}", is_objective)


def objectives() -> list[str]:
    """Every objective that comes with the package: files in `objectives/` that define one."""
    found = {name: classes(importlib.import_module(f"{OBJECTIVES}.{name}")) for name in modules(OBJECTIVES)}
    return [name for name, inside in found.items() if len([cls for cls in inside if is_objective(cls)]) == 1]


def names() -> list[str]:
    """Every method that comes with the package."""
    stages = [name for name in modules(STAGES) if name != GENERIC]
    return stages + [name for name in objectives() if name not in stages]


def imported(name: str, place: str) -> type[Any]:
    """The class at `package.module:Class`; the current folder is looked in as well."""
    module_name, _, attribute = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise  # a real fault inside that module
        raise UserError(f"{place}: there is no module {module_name}; looked in this folder and among installed packages") from None
    found = getattr(module, attribute, None)
    if found is None:
        public = [cls.__name__ for cls in classes(module)]
        raise UserError(f"{place}: {module_name} has no '{attribute}'{closest(attribute, public)}")
    if not (inspect.isclass(found) and (is_stage(found) or is_objective(found))):
        raise UserError(f"{place}: {name} is neither a stage (produces, parents, check, run) nor an objective (collate, loss, specimens)")
    return found


def generic() -> type[Any]:
    """The stage that trains any objective on annotations."""
    return only_class(f"{STAGES}.{GENERIC}", is_stage)


def only_class(module_name: str, fits: Any) -> type[Any]:
    found = [cls for cls in classes(importlib.import_module(module_name)) if fits(cls)]
    if len(found) != 1:
        raise TypeError(f"{module_name} must define one such class; it defines {[cls.__name__ for cls in found]}")
    return found[0]


def classes(module: ModuleType) -> list[type[Any]]:
    """Public classes that the module itself defines."""
    return [cls for name, cls in inspect.getmembers(module, inspect.isclass) if cls.__module__ == module.__name__ and name[0] != "_"]


def is_stage(cls: type[Any]) -> bool:
    return all(hasattr(cls, name) for name in ("revision", "produces", "takes", "parents", "check", "run"))


def is_objective(cls: type[Any]) -> bool:
    return all(hasattr(cls, name) for name in ("collate", "loss", "specimens")) and "__dataclass_fields__" in vars(cls)


def modules(package: str) -> list[str]:
    """Names of the modules in a package, without importing them."""
    spec = importlib.util.find_spec(package)
    return [m.name for m in pkgutil.iter_modules(spec.submodule_search_locations if spec else [])]
