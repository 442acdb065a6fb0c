"""The outbox of alerts, what each recipient got of it, and since when active rows are as they are."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An alert is written once per occurrence; the register says until when a sender waits to be told of it."""
    op.execute("""
        CREATE TABLE stability.outbox (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT outbox_pkey PRIMARY KEY,
            kind text NOT NULL,
            subject text NOT NULL,
            fact text NOT NULL,
            since timestamptz NOT NULL,
            link text,
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            sent_at timestamptz,
            CONSTRAINT outbox_tells_an_occurrence_once UNIQUE (kind, subject, since)
        )
    """)
    op.execute("CREATE INDEX outbox_unsent ON stability.outbox (id) WHERE sent_at IS NULL")
    op.execute("""
        CREATE TABLE stability.delivery (
            alert bigint NOT NULL
                CONSTRAINT delivery_alert_fkey REFERENCES stability.outbox (id) ON DELETE CASCADE,
            recipient text NOT NULL,
            attempts integer NOT NULL,
            next_attempt_at timestamptz NOT NULL,
            sent_at timestamptz,
            error text,
            CONSTRAINT delivery_pkey PRIMARY KEY (alert, recipient)
        )
    """)
    op.execute("CREATE INDEX delivery_unsent ON stability.delivery (recipient) WHERE sent_at IS NULL")
    op.execute("CREATE SEQUENCE stability.alerts_awaited AS bigint MINVALUE 0 START 0")
    op.execute("""
        CREATE TABLE stability.seen_active (
            source text NOT NULL
                CONSTRAINT seen_active_source_fkey REFERENCES stability.source (name) ON DELETE CASCADE,
            mark text NOT NULL,
            id jsonb,
            since timestamptz NOT NULL,
            told_at timestamptz,
            CONSTRAINT seen_active_pkey PRIMARY KEY (source, mark)
        )
    """)


def downgrade() -> None:
    """Forget the alerts."""
    op.execute("DROP FUNCTION IF EXISTS stability.alert(text, text, text, timestamptz, text)")
    op.execute("DROP TABLE stability.delivery, stability.outbox, stability.seen_active")
    op.execute("DROP SEQUENCE stability.alerts_awaited")
