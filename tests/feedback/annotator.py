"""Run as a process by test_crowd.py: people at one desk, each a thread, answering until they are killed or nothing is left. A line for
each receipt, after it is given: person, token."""

import sys
import threading
from pathlib import Path

from tutelage.core.errors import Interrupted
from tutelage.feedback.store import Store
from tutelage.feedback.study.desk import Desk
from tutelage.feedback.study.study import read_study


def work(desk: Desk, person: str) -> None:
    while sheet := desk.next(person):
        values = {"ranking.order": "1 2 = 3", "note": f"by {person}"}
        try:
            desk.submit(person, sheet.submit, sheet.item.id, values, 900, 1000)
        except Interrupted:
            continue
        sys.stdout.write(f"{person} {sheet.submit}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    folder, place = Path(sys.argv[1]), sys.argv[2]
    desk = Desk(read_study(folder / "study.yaml", [f"store='{place}'"]), Store(place))
    desk.load()
    threads = [threading.Thread(target=work, args=(desk, name)) for name in sys.argv[3:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
