"""Networks, their roles, adapters and heads, and what writes with them.

Two imports are watched, by whomever and whenever they are made. bitsandbytes asks the package `kernels`, where there is one, for code from
the hub, unasked: that door is closed meanwhile, and what it says about the closed door is nobody's business. peft imports
bitsandbytes at once, two seconds in each process, for layers of its own that nothing here needs; so it isn't there until peft is whole, and
peft looks for it once more where it makes an adapter.
"""

import logging
import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import ClassVar

NAME = "bitsandbytes"


class Behind:
    """Loads a module as its own loader does, while another one can't be imported."""

    def __init__(self, own: Loader, closed: str) -> None:
        self.own, self.closed = own, closed

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        logger, there = logging.getLogger(f"{NAME}.backends.cpu.ops"), sys.modules.pop(self.closed, None)
        level = logger.level
        logger.setLevel(logging.ERROR)
        sys.modules[self.closed] = None  # pyright: ignore[reportArgumentType]  (what Python itself takes for "can't be imported")
        try:
            self.own.exec_module(module)
        finally:
            logger.setLevel(level)
            del sys.modules[self.closed]
            if there is not None:
                sys.modules[self.closed] = there


class Door:
    """Finds the two before others do."""

    closed: ClassVar = {NAME: "kernels", "peft": NAME}

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        found = PathFinder.find_spec(name) if name in cls.closed else None
        if found is not None and found.loader is not None:
            found.loader = Behind(found.loader, cls.closed[name])  # pyright: ignore[reportAttributeAccessIssue]  (what Python asks of it)
        return found


if not any(found is Door for found in sys.meta_path):
    sys.meta_path.insert(0, Door)  # pyright: ignore[reportArgumentType]
