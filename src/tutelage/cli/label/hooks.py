"""`tutelage label hooks`: where events go, and the secret that each receiver checks signatures with."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.feedback.site.signing import Signer, secret_of
from tutelage.feedback.study.study import read_study


def command(study: Annotated[Path, typer.Argument(help="The study's page, study.yaml.")]) -> None:
    """Print each webhook's address, events and secret."""
    signer = Signer(secret_of(study))
    hooks = read_study(study).webhooks
    for hook in hooks:
        screen.say(f"{hook.url} ({', '.join(hook.events)}): {signer.hook(hook.url)}")
    if not hooks:
        screen.say(f"{study} has no webhooks: [{{url: ..., events: [annotation]}}].")
