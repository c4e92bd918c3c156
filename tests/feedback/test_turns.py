"""The queue of writers: one at a time, first come first served, answers before leases, and a fault passes the turn on."""

import threading
import time

import pytest

from tutelage.feedback.store.turns import Turns


def in_line(turns, order, jobs):
    """Start threads one after another while the turn is held; the order in which they get it."""
    threads = []
    with turns.turn(True):
        for name, first in jobs:

            def work(name=name, first=first):
                with turns.turn(first):
                    order.append(name)

            threads.append(threading.Thread(target=work))
            threads[-1].start()
            time.sleep(0.02)
        assert order == []
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def test_first_come_first_served_and_answers_before_leases():
    order = []
    in_line(Turns(), order, [("a", False), ("b", True), ("c", False), ("d", True), ("e", True)])
    assert order == ["b", "d", "e", "a", "c"]


def test_one_at_a_time():
    turns, inside, most = Turns(), [0], [0]

    def work():
        for n in range(200):
            with turns.turn(n % 2 == 0):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert most == [1]


def test_a_fault_passes_the_turn_on():
    turns, order = Turns(), []
    with pytest.raises(ValueError), turns.turn(True):
        raise ValueError
    in_line(turns, order, [("a", True)])
    assert order == ["a"]
