"""The store: what people and machines said, append-only, in SQLite or PostgreSQL."""

from tutelage.feedback.store.store import Store, hash_of

__all__ = ["Store", "hash_of"]
