"""how far a run has dealt its plan to the workers of a cluster"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("dealt", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "dealt")
