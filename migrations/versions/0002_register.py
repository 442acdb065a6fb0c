"""The register that says whether triggers send hints: a sequence, because reading one ignores snapshots."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make it, closed."""
    op.execute("CREATE SEQUENCE stability.armed_until AS bigint MINVALUE 0 START 0")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP SEQUENCE stability.armed_until")
