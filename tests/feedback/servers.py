"""A real PostgreSQL for tests: Debian's binaries, a cluster in a temporary directory, run as a user that isn't root.

Where there are no binaries the tests that need them are skipped with that reason; under CI=true they fail, for there they must be.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pg8000.native
import pytest

WHERE = "/usr/lib/postgresql"


def binaries() -> Path | None:
    """The folder with `initdb` and `postgres`, newest version first."""
    versions = sorted(Path(WHERE).glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]), reverse=True)
    on_path = shutil.which("initdb")
    return versions[0].parent if versions else Path(on_path).parent if on_path else None


def needed() -> Path:
    """The same, or a skipped test (under CI=true a failed one)."""
    found = binaries()
    if found is None:
        why = "no PostgreSQL server here: apt-get install postgresql"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    return found


class Server:
    """One cluster. `url(name)` makes a database of that name."""

    def __init__(self, folder: Path, tools: Path) -> None:
        self.folder, self.tools, self.data = folder, tools, folder / "data"
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(folder, self.user)
        made = [tools / "initdb", "-D", self.data, "-U", "judge", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, **self._who())

    def _who(self) -> dict:
        return {"user": self.user, "cwd": self.folder} if os.geteuid() == 0 else {"cwd": self.folder}

    def start(self) -> None:
        where = ["-D", self.data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([self.tools / "postgres", *where], stdout=log, stderr=log, **self._who())
        until = time.monotonic() + 30
        while True:
            try:
                self.sql("SELECT 1")
                return
            except Exception:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def stop(self, how: int = signal.SIGINT) -> None:
        """SIGINT: fast shutdown; SIGQUIT: as by a power cut."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def sql(self, text: str, database: str = "postgres") -> list:
        connection = pg8000.native.Connection("judge", host="127.0.0.1", port=self.port, database=database, timeout=10)
        try:
            return connection.run(text)
        finally:
            connection.close()

    def url(self, name: str) -> str:
        self.sql(f'CREATE DATABASE "{name}"')
        return f"postgresql://judge:secret@127.0.0.1:{self.port}/{name}"


@contextmanager
def running() -> Iterator[Server]:
    """A server for as long as the block; its directory goes with it."""
    tools = needed()
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = Server(Path(folder), tools)
        server.start()
        try:
            yield server
        finally:
            server.stop()
