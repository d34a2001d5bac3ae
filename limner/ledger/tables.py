"""The ledger's tables: what ties a picture to its request, plan, attempts, verdicts, parents and spend.

Knows only PostgreSQL. Money is numeric with six places, times are UTC, keys of the bucket are stored, never URLs.
"""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Numeric,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import SchemaItem

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# A token that only grows: whoever holds the newest one holds the order.
fence = Sequence("fence", metadata=metadata)


def _now(name: str, *items: SchemaItem) -> Column[datetime]:
    return Column(name, DateTime(timezone=True), *items, nullable=False, server_default=func.now())


owners = Table(
    "owners",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("tier", Text, nullable=False),
    _now("changed_at"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("request", JSONB, nullable=False),
    Column("request_hash", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("recipe", Text, nullable=False),
    Column("chain", JSONB, nullable=False),
    Column("model", Text),
    Column("reuse", Text, nullable=False),
    Column("notes", JSONB, nullable=False),
    Column("status", Text, nullable=False, server_default="open"),
    Column("asked", Integer, nullable=False),
    _now("planned_at"),
    Column("ended_at", DateTime(timezone=True)),
    Column("report_key", Text),
    # Money: the caller's cap; what is reserved for no attempt yet, what is for open ones, what was spent.
    Column("max_usd", Numeric(14, 6)),
    Column("usd_free", Numeric(14, 6), nullable=False, server_default="0"),
    Column("usd_bound", Numeric(14, 6), nullable=False, server_default="0"),
    Column("usd_used", Numeric(14, 6), nullable=False, server_default="0"),
    # Somebody waits for it: its calls go before those of other batches.
    Column("interactive", Boolean, nullable=False, server_default="false"),
    CheckConstraint("status in ('open', 'short', 'cancelled', 'complete')", name="status"),
    Index(
        "ix_batches_unfinished",
        "request_hash",
        unique=True,
        postgresql_where=text("status <> 'complete'"),
    ),
    UniqueConstraint("owner", "idempotency_key"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("batch_id", Text, ForeignKey("batches.id"), nullable=False, index=True),
    _now("started_at"),
    # The process that works on it, when it last said that it lives, and how often it was resumed after it did not.
    Column("holder", Text),
    _now("beat_at"),
    Column("ended_at", DateTime(timezone=True)),
    Column("resumed", Integer, nullable=False, server_default="0"),
    # The position from which on a cluster's workers are still to take jobs; null while they are to take none.
    Column("dealt", Integer),
    Index("ix_runs_alive", "beat_at", postgresql_where=text("ended_at is null")),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("key", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    _now("stored_at"),
    Column("tombstoned_at", DateTime(timezone=True)),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("order_key", Text, nullable=False, index=True),
    Column("batch_id", Text, ForeignKey("batches.id"), nullable=False, index=True),
    Column("job_key", Text, nullable=False),
    Column("run_id", Text),
    Column("task_run_id", Text),
    Column("provider", Text, nullable=False),
    Column("model", Text),
    Column("provider_id", Text),
    Column("number", Integer, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("negative_prompt", Text, nullable=False),
    Column("dropped", JSONB, nullable=False, server_default="[]"),
    Column("revised_prompt", Text),
    _now("started_at"),
    Column("settled_at", DateTime(timezone=True)),
    Column("outcome", Text),
    Column("reason", Text),
    Column("seconds", Float),
    # What it may cost, bound while it is open; and what it did.
    Column("estimate_usd", Numeric(14, 6), nullable=False, server_default="0"),
    Column("cost_usd", Numeric(14, 6), nullable=False, server_default="0"),
    Column("sha256", Text),
    Index("ix_attempts_open", "order_key", postgresql_where=text("outcome is null")),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("attempt_id", Text, ForeignKey("attempts.id"), primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("gate", Text, nullable=False),
    Column("score", Integer, nullable=False),
    Column("level", Text, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("findings", JSONB, nullable=False),
    _now("judged_at"),
    CheckConstraint("score between 0 and 100", name="score"),
)

records = Table(
    "records",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("owner", Text, nullable=False),
    Column("order_key", Text, nullable=False, index=True),
    Column("base_key", Text, nullable=False, index=True),
    Column("similar_key", Text, nullable=False, index=True),
    Column("generation", Integer, nullable=False),
    Column("sha256", Text, ForeignKey("artifacts.sha256"), nullable=False, index=True),
    Column("attempt_id", Text, ForeignKey("attempts.id"), nullable=False, unique=True),
    Column("batch_id", Text, ForeignKey("batches.id"), nullable=False),
    Column("job_key", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text),
    Column("asked_model", Text),
    _now("made_at"),
    Column("deleted_at", DateTime(timezone=True)),
)

parents = Table(
    "parents",
    metadata,
    Column("record_id", BigInteger, ForeignKey("records.id"), primary_key=True),
    Column("parent_sha256", Text, ForeignKey("artifacts.sha256"), primary_key=True),
    Column("role", Text, primary_key=True),
)

jobs = Table(
    "jobs",
    metadata,
    Column("batch_id", Text, ForeignKey("batches.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("key", Text, nullable=False),
    Column("order_key", Text, nullable=False, index=True),
    Column("base_key", Text, nullable=False),
    Column("similar_key", Text, nullable=False),
    Column("order", JSONB, nullable=False),
    Column("about", JSONB, nullable=False),
    Column("subject", Text, nullable=False),
    Column("gate", Text, nullable=False),
    Column("max_tries", Integer, nullable=False),
    Column("status", Text, nullable=False, server_default="promised"),
    Column("record_id", BigInteger, ForeignKey("records.id"), index=True),
    Column("reused", Text),
    Column("reason", Text),
    # Providers that could not honour the order, and why: [{"provider", "reason"}].
    Column("skipped", JSONB, nullable=False, server_default="[]"),
    Column("seconds", Float),
    Column("settled_at", DateTime(timezone=True)),
    UniqueConstraint("batch_id", "key"),
    CheckConstraint("status in ('promised', 'made', 'reused', 'failed')", name="status"),
    CheckConstraint("(status in ('made', 'reused')) = (record_id is not null)", name="record"),
)

claims = Table(
    "claims",
    metadata,
    Column("order_key", Text, primary_key=True),
    Column("holder", Text, nullable=False, index=True),
    Column("claimant", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("lease_until", DateTime(timezone=True), nullable=False),
    _now("claimed_at"),
)

counters = Table(
    "counters",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("period", Text, primary_key=True),
    Column("pictures_reserved", Integer, nullable=False, server_default="0"),
    Column("pictures_used", Integer, nullable=False, server_default="0"),
    Column("usd_reserved", Numeric(14, 6), nullable=False, server_default="0"),
    Column("usd_used", Numeric(14, 6), nullable=False, server_default="0"),
)

# Append-only; each row is what it added to its counter, so a counter is the sum of its entries.
entries = Table(
    "entries",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("owner", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("batch_id", Text, ForeignKey("batches.id"), nullable=False, index=True),
    Column("attempt_id", Text, ForeignKey("attempts.id")),
    Column("what", Text, nullable=False),
    Column("pictures_reserved", Integer, nullable=False, server_default="0"),
    Column("pictures_used", Integer, nullable=False, server_default="0"),
    Column("usd_reserved", Numeric(14, 6), nullable=False, server_default="0"),
    Column("usd_used", Numeric(14, 6), nullable=False, server_default="0"),
    _now("entered_at"),
    CheckConstraint("what in ('reserved', 'settled', 'released')", name="what"),
    ForeignKeyConstraint(["owner", "period"], ["counters.owner", "counters.period"], name="fk_entries_counter"),
    Index("ix_entries_counter", "owner", "period"),
)

# What a provider's limits stand at, over all processes together: one row each, made by whoever asks first.
limits = Table(
    "limits",
    metadata,
    Column("provider", Text, primary_key=True),
    # As many as the provider's granted slots: counted here, so that one row's lock decides who gets the last one.
    Column("taken", Integer, nullable=False, server_default="0"),
    # When the rate allows the next call.
    Column("next_call_at", DateTime(timezone=True)),
    # Nobody calls before: what a Retry-After asked for.
    Column("quiet_until", DateTime(timezone=True)),
    # The breaker: breakages since the last good answer, until when nobody calls, how often in a row it came to that.
    Column("broken_in_a_row", Integer, nullable=False, server_default="0"),
    Column("broken_since", DateTime(timezone=True)),
    Column("shut_until", DateTime(timezone=True)),
    Column("times_shut", Integer, nullable=False, server_default="0"),
    # After a pause, of either sort, one goes first: how many may be under way of those granted since the newest pause,
    # and how many are. 0: one, and none was answered yet; null: as many as there are slots.
    Column("pauses", BigInteger, nullable=False, server_default="0"),
    Column("at_most", Integer),
    Column("under_way", Integer, nullable=False, server_default="0"),
)

# Who calls a provider, or waits to (granted_at is null); a dead process's rows end with their leases.
slots = Table(
    "slots",
    metadata,
    Column("id", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("holder", Text, nullable=False, index=True),
    Column("priority", Integer, nullable=False),
    Column("owner", Text, nullable=False, server_default=""),
    _now("asked_at"),
    Column("granted_at", DateTime(timezone=True)),
    # The provider's pauses when it was granted.
    Column("pauses", BigInteger),
    Column("lease_until", DateTime(timezone=True), nullable=False),
    Index("ix_slots_queue", "provider", "priority", "asked_at"),
)

# When an owner's last call of a provider was granted: of those who wait, the one served longest ago is next.
turns = Table(
    "turns",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("owner", Text, primary_key=True),
    _now("served_at"),
)

# What other apps show to speak for an owner; only the hash is kept.
tokens = Table(
    "tokens",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("owner", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    _now("made_at"),
    Column("revoked_at", DateTime(timezone=True)),
)

# Where an owner wants to be told that a batch has ended; the secret that signs is derived from the id, and never kept.
webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False, index=True),
    Column("url", Text, nullable=False),
    _now("made_at"),
    Column("removed_at", DateTime(timezone=True)),
)

# What is to be told, written in the transaction that it tells of.
outbox = Table(
    "outbox",
    metadata,
    Column("id", Text, primary_key=True),
    Column("webhook_id", Text, ForeignKey("webhooks.id"), nullable=False),
    Column("batch_id", Text, ForeignKey("batches.id"), nullable=False, index=True),
    Column("event", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    _now("made_at"),
    Column("status", Text, nullable=False, server_default="waiting"),
    Column("tries", Integer, nullable=False, server_default="0"),
    _now("next_try_at"),
    Column("reason", Text),
    Column("settled_at", DateTime(timezone=True)),
    CheckConstraint("status in ('waiting', 'delivered', 'dead')", name="status"),
    Index("ix_outbox_due", "next_try_at", postgresql_where=text("status = 'waiting'")),
)
