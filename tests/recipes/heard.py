"""A progress that keeps what a run says."""

from tutelage.core.progress import Silent


class Heard(Silent):
    """Keeps notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)
