"""the first ledger"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("fence")))
    op.create_table(
        "artifacts",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("tombstoned_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_artifacts")),
    )
    op.create_table(
        "batches",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("request", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("chain", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("reuse", sa.Text(), nullable=False),
        sa.Column("notes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("report_key", sa.Text(), nullable=True),
        sa.CheckConstraint("status in ('open', 'short', 'cancelled', 'complete')", name=op.f("ck_batches_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.UniqueConstraint("owner", "idempotency_key", name=op.f("uq_batches_owner")),
    )
    op.create_index(
        "ix_batches_unfinished",
        "batches",
        ["request_hash"],
        unique=True,
        postgresql_where=sa.text("status <> 'complete'"),
    )
    op.create_table(
        "claims",
        sa.Column("order_key", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("claimant", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("order_key", name=op.f("pk_claims")),
    )
    op.create_index(op.f("ix_claims_holder"), "claims", ["holder"], unique=False)
    op.create_table(
        "counters",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("pictures_reserved", sa.Integer(), server_default="0", nullable=False),
        sa.Column("pictures_used", sa.Integer(), server_default="0", nullable=False),
        sa.Column("usd_reserved", sa.Numeric(precision=14, scale=6), server_default="0", nullable=False),
        sa.Column("usd_used", sa.Numeric(precision=14, scale=6), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("owner", "period", name=op.f("pk_counters")),
    )
    op.create_table(
        "owners",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_owners")),
    )
    op.create_table(
        "attempts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("order_key", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("job_key", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("task_run_id", sa.Text(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("negative_prompt", sa.Text(), nullable=False),
        sa.Column("dropped", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("revised_prompt", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("cost_usd", sa.Numeric(precision=14, scale=6), server_default="0", nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_attempts_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
    )
    op.create_index(op.f("ix_attempts_batch_id"), "attempts", ["batch_id"], unique=False)
    op.create_index(
        "ix_attempts_open", "attempts", ["order_key"], unique=False, postgresql_where=sa.text("outcome is null")
    )
    op.create_index(op.f("ix_attempts_order_key"), "attempts", ["order_key"], unique=False)
    op.create_table(
        "runs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_runs_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_batch_id"), "runs", ["batch_id"], unique=False)
    op.create_table(
        "entries",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=True),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("pictures_reserved", sa.Integer(), server_default="0", nullable=False),
        sa.Column("pictures_used", sa.Integer(), server_default="0", nullable=False),
        sa.Column("usd_reserved", sa.Numeric(precision=14, scale=6), server_default="0", nullable=False),
        sa.Column("usd_used", sa.Numeric(precision=14, scale=6), server_default="0", nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("what in ('reserved', 'settled', 'released')", name=op.f("ck_entries_what")),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_entries_attempt_id")),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_entries_batch_id")),
        sa.ForeignKeyConstraint(["owner", "period"], ["counters.owner", "counters.period"], name="fk_entries_counter"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entries")),
    )
    op.create_index(op.f("ix_entries_batch_id"), "entries", ["batch_id"], unique=False)
    op.create_index("ix_entries_counter", "entries", ["owner", "period"], unique=False)
    op.create_table(
        "records",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("order_key", sa.Text(), nullable=False),
        sa.Column("base_key", sa.Text(), nullable=False),
        sa.Column("similar_key", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("job_key", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("asked_model", sa.Text(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_records_attempt_id")),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_records_batch_id")),
        sa.ForeignKeyConstraint(["sha256"], ["artifacts.sha256"], name=op.f("fk_records_sha256")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_records")),
        sa.UniqueConstraint("attempt_id", name=op.f("uq_records_attempt_id")),
    )
    op.create_index(op.f("ix_records_base_key"), "records", ["base_key"], unique=False)
    op.create_index(op.f("ix_records_order_key"), "records", ["order_key"], unique=False)
    op.create_index(op.f("ix_records_sha256"), "records", ["sha256"], unique=False)
    op.create_index(op.f("ix_records_similar_key"), "records", ["similar_key"], unique=False)
    op.create_table(
        "verdicts",
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("gate", sa.Text(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("score between 0 and 100", name=op.f("ck_verdicts_score")),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_verdicts_attempt_id")),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_verdicts")),
    )
    op.create_table(
        "jobs",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("order_key", sa.Text(), nullable=False),
        sa.Column("base_key", sa.Text(), nullable=False),
        sa.Column("similar_key", sa.Text(), nullable=False),
        sa.Column("order", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("about", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("gate", sa.Text(), nullable=False),
        sa.Column("max_tries", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), server_default="promised", nullable=False),
        sa.Column("record_id", sa.BigInteger(), nullable=True),
        sa.Column("reused", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status in ('made', 'reused')) = (record_id is not null)", name=op.f("ck_jobs_record")),
        sa.CheckConstraint("status in ('promised', 'made', 'reused', 'failed')", name=op.f("ck_jobs_status")),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_jobs_batch_id")),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_jobs_record_id")),
        sa.PrimaryKeyConstraint("batch_id", "position", name=op.f("pk_jobs")),
        sa.UniqueConstraint("batch_id", "key", name=op.f("uq_jobs_batch_id")),
    )
    op.create_index(op.f("ix_jobs_order_key"), "jobs", ["order_key"], unique=False)
    op.create_index(op.f("ix_jobs_record_id"), "jobs", ["record_id"], unique=False)
    op.create_table(
        "parents",
        sa.Column("record_id", sa.BigInteger(), nullable=False),
        sa.Column("parent_sha256", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["parent_sha256"], ["artifacts.sha256"], name=op.f("fk_parents_parent_sha256")),
        sa.ForeignKeyConstraint(["record_id"], ["records.id"], name=op.f("fk_parents_record_id")),
        sa.PrimaryKeyConstraint("record_id", "parent_sha256", "role", name=op.f("pk_parents")),
    )


def downgrade() -> None:
    op.drop_table("parents")
    op.drop_index(op.f("ix_jobs_record_id"), table_name="jobs")
    op.drop_index(op.f("ix_jobs_order_key"), table_name="jobs")
    op.drop_table("jobs")
    op.drop_table("verdicts")
    op.drop_index(op.f("ix_records_similar_key"), table_name="records")
    op.drop_index(op.f("ix_records_sha256"), table_name="records")
    op.drop_index(op.f("ix_records_order_key"), table_name="records")
    op.drop_index(op.f("ix_records_base_key"), table_name="records")
    op.drop_table("records")
    op.drop_index("ix_entries_counter", table_name="entries")
    op.drop_index(op.f("ix_entries_batch_id"), table_name="entries")
    op.drop_table("entries")
    op.drop_index(op.f("ix_runs_batch_id"), table_name="runs")
    op.drop_table("runs")
    op.drop_index(op.f("ix_attempts_order_key"), table_name="attempts")
    op.drop_index("ix_attempts_open", table_name="attempts", postgresql_where=sa.text("outcome is null"))
    op.drop_index(op.f("ix_attempts_batch_id"), table_name="attempts")
    op.drop_table("attempts")
    op.drop_table("owners")
    op.drop_table("counters")
    op.drop_index(op.f("ix_claims_holder"), table_name="claims")
    op.drop_table("claims")
    op.drop_index("ix_batches_unfinished", table_name="batches", postgresql_where=sa.text("status <> 'complete'"))
    op.drop_table("batches")
    op.drop_table("artifacts")
    op.execute(sa.schema.DropSequence(sa.Sequence("fence")))
