"""The site on an address, for as long as something waits for people."""

import socket
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from urllib.parse import urlsplit

import uvicorn

from tutelage.core.errors import UserError
from tutelage.feedback.site.address import Address
from tutelage.feedback.site.app import build
from tutelage.feedback.site.signing import Claim, Signer
from tutelage.feedback.store import Store
from tutelage.feedback.study.desk import Desk
from tutelage.feedback.study.people import People
from tutelage.feedback.study.study import Study, Webhook


@contextmanager
def serving(study: Study, store: Store, desk: Desk, secret: str, address: Address) -> Generator[str]:
    """The site answers within this block, from a thread; what its links begin with. UserError where the address can't be had."""
    listening = bound(address)
    app = build(study, store, desk, secret, address.secure)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", proxy_headers=True, timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, args=([listening],), name="site")
    thread.start()
    try:
        yield address.public.rstrip("/") or f"http://{address.host}:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def leaving(hooks: Iterable[Webhook]) -> list[str]:
    """What leaves this machine, and where it goes."""
    return [f"webhook: {', '.join(hook.events)} with prompts, responses and answers go to {urlsplit(hook.url).netloc}" for hook in hooks]


def bound(address: Address) -> socket.socket:
    """A socket on the address. UserError where it is taken, or not this machine's."""
    listening = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((address.host, address.port))
    except OSError as error:
        listening.close()
        where = f"{address.host}:{address.port}"
        raise UserError(f"{where}: cannot be listened on ({error.strerror}); choose another with --port, 0 for a free one") from None
    return listening


def links(study: Study, store: Store, secret: str, url: str) -> list[tuple[str, str]]:
    """(pseudonym, invitation link) of everybody who is active, by name."""
    signer = Signer(secret)
    active = [person for person in People(study, store).everyone() if person.active]
    return [(p.name, f"{url}/join/{signer.sign('invitation', Claim(p.name, p.keys))}") for p in active]
