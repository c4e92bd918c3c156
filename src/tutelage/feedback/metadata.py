"""What all tables of a store share: they are in one database and made by one migration."""

import sqlalchemy as sa

METADATA = sa.MetaData()
SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")
"""SQLite counts up by itself in columns of exactly the type INTEGER."""
