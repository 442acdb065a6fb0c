"""What we set on watched tables, so that exactly that can be taken back."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is set yet."""
    op.execute("""
        CREATE TABLE stability.tuned (
            relation regclass, name text, value text NOT NULL, CONSTRAINT tuned_pkey PRIMARY KEY (relation, name)
        )
    """)


def downgrade() -> None:
    """Forget it; the settings stay."""
    op.execute("DROP TABLE stability.tuned")
