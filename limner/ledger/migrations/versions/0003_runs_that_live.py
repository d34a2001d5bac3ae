"""who works on a run, that it lives, and when it ended"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("holder", sa.Text(), nullable=True))
    op.add_column(
        "runs", sa.Column("beat_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    )
    op.add_column("runs", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("resumed", sa.Integer(), server_default="0", nullable=False))
    # Nobody knows of the runs of before whether they live.
    op.execute("update runs set ended_at = started_at")
    op.create_index("ix_runs_alive", "runs", ["beat_at"], postgresql_where=sa.text("ended_at is null"))


def downgrade() -> None:
    op.drop_index("ix_runs_alive", "runs")
    for name in ("resumed", "ended_at", "beat_at", "holder"):
        op.drop_column("runs", name)
