"""Twenty annotators at once, through HTTP, against the command itself: quick, without errors; and killed twenty times under that load."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.feedback.site.studies import study_at
from tutelage.feedback.store import Store

ANNOTATORS = 20
AMID = 10
"""Answers between two kills, at least."""
PEOPLE = "people: [" + ", ".join(f"{{name: ann-{n:02}}}" for n in range(1, ANNOTATORS + 1)) + "]"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(path: Path, port: int) -> subprocess.Popen[str]:
    """The site, by its command, once it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tutelage", "label", str(path), "--port", str(port)], stdout=subprocess.DEVNULL, text=True
    )
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process
        except OSError:
            assert process.poll() is None and time.monotonic() < until, "the site did not start"
            time.sleep(0.05)


@contextmanager
def site(path: Path, port: int) -> Iterator[None]:
    process = start(path, port)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def links(path: Path, port: int) -> list[str]:
    names = [f"ann-{n:02}" for n in range(1, ANNOTATORS + 1)]
    done = subprocess.run(
        [sys.executable, "-m", "tutelage", "label", "invite", str(path), *names, "--port", str(port)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.split(": ", 1)[1] for line in done.stdout.splitlines()]


def crowd(seconds: float, to: list[str], *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.feedback.site.crowd", str(seconds), *to, *more], stdout=subprocess.PIPE, text=True
    )


def outcome(process: subprocess.Popen[str], seconds: float) -> dict[str, list]:
    out, _ = process.communicate(timeout=seconds + 120)
    return json.loads(out)


def study_of(folder: Path, store: str) -> Path:
    return study_at(folder, items=3000, more=f"{PEOPLE}\noverlap: 3\n" + (f"store: {store}" if store else ""))


def run(folder: Path, store: str, seconds: float) -> tuple[dict[str, list], Store]:
    path, port = study_of(folder, store), free_port()
    to = links(path, port)
    with site(path, port):
        found = outcome(crowd(seconds, to), seconds)
    return found, Store(store or folder / "study.sqlite")


def check(found: dict[str, list], store: Store) -> None:
    """Every acknowledged answer is there once, and none that nobody sent."""
    assert found["errors"] == [], found["errors"][:5]
    there = Counter(event.submit for event in store.events(kinds=["annotation"]))
    assert set(there.values()) <= {1}
    assert set(found["acknowledged"]) <= set(there) and len(found["acknowledged"]) == len(set(found["acknowledged"]))
    per_person = Counter((event.annotator, event.item) for event in store.events(kinds=["annotation"]))
    assert set(per_person.values()) <= {1}


def test_twenty_annotators_for_a_moment(tmp_path, place):
    found, store = run(tmp_path, place, 4)
    check(found, store)
    assert len(found["acknowledged"]) >= ANNOTATORS


@pytest.mark.long
def test_twenty_annotators_for_a_minute(tmp_path, place):
    minute(*run(tmp_path, place, 60), place.partition(":")[0] if "://" in place else "SQLite")


def minute(found: dict[str, list], store: Store, name: str) -> None:
    """Nothing lost, no error; how long people waited is told (pytest -s), since it depends on what else runs."""
    check(found, store)
    p50, p95 = np.quantile(found["submits"], [0.5, 0.95])
    print(f"\n{name}: {len(found['submits'])} submits in 60 s by {ANNOTATORS}; median {1000 * p50:.0f} ms, p95 {1000 * p95:.0f} ms")


def killed(folder: Path, store: str, times: int) -> None:
    """The server killed so many times, each time amid work; whoever was waiting sends again."""
    path, port = study_of(folder, store), free_port()
    to, held = links(path, port), Store(store or folder / "study.sqlite")
    process, stop = start(path, port), folder / "stop"
    people = crowd(3600, to, "--stubborn", f"--stop={stop}")
    try:
        for _ in range(times):
            amid_work(held)
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = start(path, port)
        amid_work(held)
        stop.touch()
        found = outcome(people, 0)
    finally:
        for one in (people, process):
            one.kill()
            one.wait()
    check(found, held)
    assert len(found["acknowledged"]) >= times * AMID


def amid_work(store: Store) -> None:
    """Wait until some more answers have come in."""
    before, until = store.count, time.monotonic() + 60
    while store.count < before + AMID:
        assert time.monotonic() < until, "nobody gets on"
        time.sleep(0.1)


def test_killed_twice_nothing_acknowledged_is_lost(tmp_path, place):
    killed(tmp_path, place, 2)


@pytest.mark.long
def test_killed_twenty_times_nothing_acknowledged_is_lost(tmp_path, place):
    killed(tmp_path, place, 20)
