"""What the badge showed, and until when that was proven."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is known of the time before: it is drawn as unknown."""
    op.execute("""
        CREATE TABLE stability.transition (
            began timestamptz CONSTRAINT transition_pkey PRIMARY KEY,
            state text NOT NULL
                CONSTRAINT transition_state_is_known CHECK (state IN ('stable', 'processing', 'unknown')),
            until timestamptz NOT NULL,
            CONSTRAINT transition_ends_after_it_began CHECK (until >= began)
        )
    """)


def downgrade() -> None:
    """Forget it."""
    op.execute("DROP TABLE stability.transition")
