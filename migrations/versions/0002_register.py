"""The register that says whether triggers send hints, and the row that a read of the truth consists of.

The register is a sequence, because reading one ignores snapshots.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both; the register is closed."""
    op.execute("CREATE SEQUENCE stability.armed_until AS bigint MINVALUE 0 START 0")
    op.execute("DROP FUNCTION IF EXISTS stability.read_activity()")
    op.execute("""
        CREATE TYPE stability.activity AS (
            source text, active boolean, count integer, more boolean, next_due double precision, error text
        )
    """)


def downgrade() -> None:
    """Drop both."""
    op.execute("DROP TYPE stability.activity CASCADE")
    op.execute("DROP SEQUENCE stability.armed_until")
