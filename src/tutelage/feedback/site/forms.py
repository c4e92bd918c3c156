"""What a request carries: fields of a plain POST, read here once, with the proof that the form was ours.

Forms are percent-encoded; no page of ours sends files, so nothing parses them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from tutelage.core.errors import UserError
from tutelage.feedback.site.safe import storable

MOST_FIELDS = 2000
DAY = 86_400_000
"""Milliseconds."""


@dataclass(frozen=True)
class Form:
    """The fields of a POST, by name; of several with one name the last, all of them in `several`."""

    values: Mapping[str, str]
    several: Mapping[str, tuple[str, ...]]

    def get(self, name: str, most: int = 10_000) -> str:
        """One field without blanks around it, "" where it is missing. UserError above `most` characters."""
        text = self.values.get(name, "").strip()
        if len(text) > most:
            raise UserError(f"That is {len(text):,} characters; {most:,} is the most here.")
        return text

    def milliseconds(self, name: str, otherwise: int = 0) -> int:
        """A span of time, at most a day; `otherwise` where a browser without JavaScript left it empty."""
        text = self.values.get(name, "")
        return min(int(text), DAY) if text.isascii() and text.isdigit() and len(text) < 12 else otherwise


async def read_form(request: Request) -> Form:
    """The POST's fields. UserError where the body is no form."""
    body = await request.body()
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", ""):
        raise UserError(f"A form is sent as application/x-www-form-urlencoded; this one came as {kind}.")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="replace", max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise UserError("That is no form of ours: it is not percent-encoded, or has thousands of fields.") from error
    several: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        several[storable(name)] = (*several.get(storable(name), ()), storable(value))
    form = Form({name: values[-1] for name, values in several.items()}, several)
    request.state.form = form
    return form


Sent = Annotated[Form, Depends(read_form)]
