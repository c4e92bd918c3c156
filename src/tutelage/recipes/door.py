"""How people reach a run that waits for them."""

from dataclasses import dataclass, field

from tutelage.feedback.site.address import Address


@dataclass(frozen=True)
class Door:
    """Where its site listens, and whether it still waits."""

    address: Address = field(default_factory=Address)
    accept: bool = False
    """Go on with what is there."""
