"""Whose certificates are believed of the servers that we ask."""

import ssl
from functools import cache

import httpx


@cache
def certificates() -> ssl.SSLContext:
    """Those of certifi, or of SSL_CERT_FILE or SSL_CERT_DIR. Read once: each reading leaves 100 KB behind."""
    return httpx.create_ssl_context()
