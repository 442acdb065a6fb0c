"""Alerts of all systems: what `stability.alert()` puts into one outbox is sent to everybody who is to know."""
