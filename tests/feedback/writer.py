"""Run as a process by test_store.py: appends annotations `first` to `last` in batches, printing each batch after it is stored."""

import sys

from tutelage.core.text import Response, ask
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store import Store


def annotation(n: int, annotator: str = "") -> Annotation:
    winner = n % 2
    responses = (Response(f"yes {n}", ids=(n, 0), tokenizer="t", by="sft"), Response("no", finished=False))
    name = annotator or f"ann-{n % 3:02}"
    return Annotation(ask(f"question {n}", family="f"), responses, "pair", {"winner": winner}, name, shown=(1, 0), seconds=n)


if __name__ == "__main__":
    place, first, last, batch = sys.argv[1], *map(int, sys.argv[2:])
    store = Store(place)
    for start in range(first, last, batch):
        store.append(annotation(n) for n in range(start, min(start + batch, last)))
        print(start, flush=True)
