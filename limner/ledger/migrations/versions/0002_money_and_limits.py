"""money of batches and attempts, providers' limits"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("max_usd", sa.Numeric(14, 6), nullable=True))
    for name in ("usd_free", "usd_bound", "usd_used"):
        op.add_column("batches", sa.Column(name, sa.Numeric(14, 6), server_default="0", nullable=False))
    op.add_column("attempts", sa.Column("estimate_usd", sa.Numeric(14, 6), server_default="0", nullable=False))
    skipped = sa.Column("skipped", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False)
    op.add_column("jobs", skipped)
    op.create_table(
        "limits",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("taken", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_call_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quiet_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("broken_in_a_row", sa.Integer(), server_default="0", nullable=False),
        sa.Column("broken_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shut_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("times_shut", sa.Integer(), server_default="0", nullable=False),
        sa.Column("pauses", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at_most", sa.Integer(), nullable=True),
        sa.Column("under_way", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_limits")),
    )
    op.create_table(
        "slots",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pauses", sa.BigInteger(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_slots")),
    )
    op.create_index("ix_slots_queue", "slots", ["provider", "priority", "asked_at"])
    op.create_index(op.f("ix_slots_holder"), "slots", ["holder"])


def downgrade() -> None:
    op.drop_table("slots")
    op.drop_table("limits")
    op.drop_column("jobs", "skipped")
    op.drop_column("attempts", "estimate_usd")
    for name in ("usd_used", "usd_bound", "usd_free", "max_usd"):
        op.drop_column("batches", name)
