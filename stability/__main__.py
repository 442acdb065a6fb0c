"""`python -m stability` is the command `stability`."""

from stability.cli import app

app()
