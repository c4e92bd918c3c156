"""Files that survive a kill, a full disk and a power cut: whole or absent (`write_atomic`), and append-only rows of which only the
last can be torn (`JsonLines`).

What the machine refuses (no space, no permission, a size limit) is `Interrupted`, after which the work can be taken up again.
"""

import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from tutelage.core.errors import Interrupted, UserError

Row = dict[str, Any]


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Turns the machine's refusal to write into `Interrupted`."""
    try:
        yield
    except OSError as error:
        raise Interrupted(
            f"{path}: could not be written: {error.strerror or error}; free the cause and run the same command again"
        ) from error


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file so that a reader, at any moment and after any crash, sees the old content or the new, whole.

    A temporary file beside it is synced, renamed over it, and the directory synced. One writer per file at a time (a run's lock
    sees to it). Raises Interrupted; the old content then stands.
    """
    partial = path.with_name(f".{path.name}.partial")
    with writing(path):
        try:
            with open(partial, "wb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(path: Path) -> None:
    """Make every file and name below a directory durable."""
    for folder, _, names in os.walk(path):
        for name in names:
            if not os.path.islink(os.path.join(folder, name)):
                _sync_file(os.path.join(folder, name))
        sync_directory(Path(folder))


def _sync_file(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class JsonLines:
    """An append-only file of JSON rows. A row is there once its newline is: a last line without one was cut by a kill, is not
    read, and is removed by the next append. One writer at a time; any number of readers."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows and sync. Raises Interrupted, with the file as it was before; a kill may leave the first few of the rows."""
        data = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows).encode()
        if not data:
            return
        with writing(self.path):
            created = not self.path.exists()
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                _append(handle, _whole(handle), data)
            finally:
                os.close(handle)
            if created:
                sync_directory(self.path.parent)

    def read(self) -> list[Row]:
        """All whole rows; none where there is no file. Raises UserError for a broken row that isn't the torn last one."""
        return [row for row, _ in self._rows()]

    def truncate_after(self, keep: Callable[[Row], bool]) -> None:
        """Cut the file after the last row for which `keep` holds (to nothing, if it holds for none): what a resumed run does with
        rows written past its checkpoint. Raises Interrupted."""
        end = 0
        for row, place in self._rows():
            end = place if keep(row) else end
        if not self.path.exists():
            return
        with writing(self.path), open(self.path, "r+b") as file:
            file.truncate(end)
            os.fsync(file.fileno())

    def _rows(self) -> Iterator[tuple[Row, int]]:
        """Each whole row and the byte at which it ends."""
        if not self.path.exists():
            return
        end = 0
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                yield self._row(line, number), end

    def _row(self, line: bytes, number: int) -> Row:
        try:
            row: object = json.loads(line)
        except ValueError as error:
            row = error
        if not isinstance(row, dict):
            what = f"broken JSON ({row})" if isinstance(row, ValueError) else "not an object"
            raise UserError(f"{self.path}:{number}: {what}; this file is written by Tutelage, restore it from a copy")
        return cast(Row, row)


def _whole(handle: int) -> int:
    """The byte at which the last whole row ends; what follows is cut off."""
    size = end = os.fstat(handle).st_size
    while end > 0:
        start = max(0, end - 65536)
        newline = os.pread(handle, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(handle, end)
    return end


def _append(handle: int, end: int, data: bytes) -> None:
    """All of `data` at `end`, or nothing of it."""
    try:
        done = 0
        while done < len(data):
            done += os.pwrite(handle, data[done:], end + done)
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, end)
        raise
