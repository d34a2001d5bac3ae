"""interactive batches before others, and owners in turn"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("interactive", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("slots", sa.Column("owner", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "turns",
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("served_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("provider", "owner", name=op.f("pk_turns")),
    )


def downgrade() -> None:
    op.drop_table("turns")
    op.drop_column("slots", "owner")
    op.drop_column("batches", "interactive")
