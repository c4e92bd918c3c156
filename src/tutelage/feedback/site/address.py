"""Where people find the site."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Address:
    """Where the site listens. Beyond this machine it belongs behind a proxy that speaks https."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0: any that is free."""
    public: str = ""
    """What links begin with where people come by another name: https://label.example.org."""

    @property
    def secure(self) -> bool:
        return self.public.startswith("https://")
