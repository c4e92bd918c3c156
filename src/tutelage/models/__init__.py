"""Networks, their roles, adapters and heads, and what writes with them.

peft imports bitsandbytes where that is installed, and bitsandbytes then asks the package `kernels`, where there is one, for code from the
hub: at the import, unasked. So it is imported here first, with that door closed; what it says about the closed door is nobody's business.
"""

import logging
import sys
from importlib.util import find_spec


def _import_bitsandbytes() -> None:
    if "bitsandbytes" in sys.modules or find_spec("bitsandbytes") is None:
        return
    logger, there = logging.getLogger("bitsandbytes.backends.cpu.ops"), sys.modules.pop("kernels", None)
    level = logger.level
    logger.setLevel(logging.ERROR)
    sys.modules["kernels"] = None  # pyright: ignore[reportArgumentType]  (what Python itself takes for "can't be imported")
    try:
        import bitsandbytes  # noqa: F401
    finally:
        logger.setLevel(level)
        del sys.modules["kernels"]
        if there is not None:
            sys.modules["kernels"] = there


_import_bitsandbytes()
