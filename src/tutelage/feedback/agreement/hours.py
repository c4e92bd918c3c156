"""How long each person was at work, for pay: all of it, whatever became of what they said.

    hours of a person = sum of active_ms over their submits, answers and skips, superseded ones too / 3,600,000

Agreement is about answers that stand; pay is about time that was spent. An hour on an answer that is then corrected in a second is an
hour and a second. Gold, repeats, practice and screening are work like any other. What came through no form (an import) has its time on
each annotation, and several that were made together have one time between them.
"""

from tutelage.feedback.agreement.people import hours_of, sheets
from tutelage.feedback.store import Store

MS = 3_600_000
"""Of an hour."""


def worked(store: Store) -> dict[str, float]:
    """Hours by person, of a whole store."""
    again = [event.annotation for event in store.repeats() if event.annotation and event.formless]
    found = hours_of(sheets([*store.read(purposes=("machine", "import")), *again]))
    for name, ms in store.active_ms().items():
        found[name] = found.get(name, 0.0) + ms / MS
    return found
