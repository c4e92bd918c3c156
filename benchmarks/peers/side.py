"""One side of a comparison, in a process and an environment of its own:  python -m benchmarks.peers.side MODULE WORK SIZE

MODULE.WORKS[WORK](SIZE) prepares the work and returns a function that does it once and tells (amount done, seconds). Each line that comes
in asks for one more; a line of JSON answers it. What libraries print goes to standard error, so that answers stand alone.
"""

import importlib
import json
import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    module, work, size = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    once = importlib.import_module(module).WORKS[work](size)
    once()  # the first one finds its kernels
    print(json.dumps("ready"), file=answers, flush=True)
    for _ in sys.stdin:
        amount, seconds = once()
        print(json.dumps([amount, seconds]), file=answers, flush=True)
    raise SystemExit(0)


if __name__ == "__main__":
    main()
