"""A process that is gone ends the others with one sentence; so does a port in use. Real processes, really killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.processes import ROOT, free_port
from tutelage.core.errors import Interrupted
from tutelage.engine import meeting
from tutelage.engine.ranks import company, ranks


def started(what: str, size: int, **told: str) -> list[Any]:
    """`size` processes that meet and then do what `main` knows as `what`."""
    shared = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        **told,
    }
    command = [sys.executable, "-m", "tests.engine.test_meeting", what]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [subprocess.Popen(command, cwd=ROOT, env={**shared, "RANK": str(rank)}, **pipes) for rank in range(size)]


def killed(processes: list[Any], dead: int) -> list[str]:
    """What the others say after one of them, once all have met, was killed."""
    for process in processes:
        assert process.stdout.readline() == "met\n"
    time.sleep(0.5)
    processes[dead].send_signal(signal.SIGKILL)
    processes[dead].communicate()
    others = [process for n, process in enumerate(processes) if n != dead]
    said = [process.communicate(timeout=100)[1] for process in others]
    assert [process.returncode for process in others] == [1] * len(others), said
    return said


ENDS = """
import time
from torch.distributed import TCPStore
from tutelage.engine import meeting
store = TCPStore("127.0.0.1", 0, 1, True)
meeting.BEAT = 1e-6
meetings = [meeting.Meeting(store, rank, 40) for rank in range(40)]
time.sleep(0.5)
"""


def test_a_process_that_is_done_ends_well_whoever_it_was_talking_to() -> None:
    """Forty threads that talk to the store without a pause: one of them is always amid a call when the process ends."""
    done = subprocess.run([sys.executable, "-c", ENDS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dead", [0, 2])
def test_killed_amid_a_step_the_others_say_so(dead: int) -> None:
    for said in killed(started("step", 3), dead):
        assert "of 3 has lost another, which was killed or has said why" in said and "Traceback" not in said


@pytest.mark.parametrize("dead", [0, 1])
def test_killed_while_others_wait_the_others_say_so(dead: int) -> None:
    (said,) = killed(started(f"wait for {dead}", 2), dead)
    # Process 1 holds the store by which they hear of each other.
    lost = "process 2 of 2 has lost another" if dead == 0 else "process 2 of 2 has not been heard of for 3 s"
    assert lost in said and "Traceback" not in said


def test_waiting_ends_when_all_have_come() -> None:
    processes = started("late", 2)
    assert [process.communicate(timeout=100)[0].split()[-1] for process in processes] == ["done", "done"]
    assert [process.returncode for process in processes] == [0, 0]


def test_told_to_stop_it_says_so() -> None:
    (process, other) = started("wait for 0", 2)
    assert process.stdout.readline() == other.stdout.readline() == "met\n"
    process.terminate()
    assert "told to stop, as torchrun tells" in process.communicate(timeout=60)[1] and process.returncode == 1
    other.kill()
    other.communicate()


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        (process, other) = started("step", 2, MASTER_PORT=str(taken.getsockname()[1]))
        other.kill()
        other.communicate()
        said = process.communicate(timeout=100)[1]
    assert (
        process.returncode == 2 and "is in use by another program; give another: torchrun --master-port" in said and "Traceback" not in said
    )


def test_without_torchruns_variables_it_says_which_is_missing() -> None:
    shared = {key: value for key, value in os.environ.items() if key not in ("MASTER_ADDR", "MASTER_PORT")}
    command = [sys.executable, "-m", "tests.engine.test_meeting", "step"]
    done = subprocess.run(command, cwd=ROOT, env={**shared, "WORLD_SIZE": "2", "RANK": "0"}, capture_output=True, text=True)
    assert done.returncode == 2 and "MASTER_ADDR expected, but not set; start them by torchrun" in done.stderr


@pytest.mark.parametrize(
    "said, gone", [("[/gloo/pair.cc:547] Connection closed by peer", True), ("NCCL error", True), ("shape mismatch", False)]
)
def test_only_lost_connections_are_taken_for_them(said: str, gone: bool) -> None:
    assert meeting.broken(RuntimeError(said)) == gone


def test_alone_nothing_is_caught() -> None:
    with pytest.raises(RuntimeError, match="gloo"), company():
        raise RuntimeError("gloo")
    assert not issubclass(Interrupted, RuntimeError)


def main() -> None:
    meeting.BEAT, meeting.SILENT = 0.5, 3.0
    together = ranks()
    print("met", flush=True)
    what = sys.argv[1]
    with company():
        while what == "step":
            together.gather([1])
        if what == "late" and together.rank:
            time.sleep(5)  # longer than SILENT: who works is alive
        if what == f"wait for {together.rank}":
            time.sleep(600)
        together.wait()
    print("done")


if __name__ == "__main__":
    from tutelage.core.errors import UserError

    try:
        main()
    except (UserError, Interrupted) as error:
        print(error, file=sys.stderr)
        sys.stderr.flush()
        os._exit(2 if isinstance(error, UserError) else 1)
