"""Networks, their roles, adapters and heads, and what writes with them.

peft imports bitsandbytes where that is installed, and bitsandbytes then asks the package `kernels`, where there is one, for code from the
hub: at the import, unasked. So that door is closed while it is imported, by whomever and whenever; what it says about the closed door is
nobody's business.
"""

import logging
import sys
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

NAME = "bitsandbytes"


class Behind:
    """Loads bitsandbytes as its own loader does, with the door closed."""

    def __init__(self, own: Loader) -> None:
        self.own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        logger, there = logging.getLogger(f"{NAME}.backends.cpu.ops"), sys.modules.pop("kernels", None)
        level = logger.level
        logger.setLevel(logging.ERROR)
        sys.modules["kernels"] = None  # pyright: ignore[reportArgumentType]  (what Python itself takes for "can't be imported")
        try:
            self.own.exec_module(module)
        finally:
            logger.setLevel(level)
            del sys.modules["kernels"]
            if there is not None:
                sys.modules["kernels"] = there


class Door:
    """Finds bitsandbytes before others do."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        found = PathFinder.find_spec(name) if name == NAME else None
        if found is not None and found.loader is not None:
            found.loader = Behind(found.loader)  # pyright: ignore[reportAttributeAccessIssue]  (what Python asks of a loader)
        return found


if NAME not in sys.modules and not any(found is Door for found in sys.meta_path):
    sys.meta_path.insert(0, Door)  # pyright: ignore[reportArgumentType]
