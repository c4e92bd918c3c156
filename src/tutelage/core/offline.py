"""May this process reach beyond the machine? Not under `--offline`, TUTELAGE_OFFLINE or HF_HUB_OFFLINE.

One place that whatever leaves the machine asks first, and that the command line's flag sets for this process and those that it starts.
"""

import os

NAMES = ("TUTELAGE_OFFLINE", "HF_HUB_OFFLINE")


def offline() -> bool:
    """Has somebody said that nothing may leave the machine?"""
    return any(os.environ.get(name, "").strip().lower() not in ("", "0", "false", "no", "off") for name in NAMES)


def go_offline(wanted: bool) -> bool:
    """What `--offline` does, before anything else is imported that may ask the network. Returns `wanted`."""
    if wanted:
        os.environ.update(dict.fromkeys(NAMES, "1"))
    return wanted
