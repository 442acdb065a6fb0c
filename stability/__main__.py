"""`python -m stability` is the command `stability`."""

from stability.cli import app

if __name__ == "__main__":  # the child of `serve --reload` imports this module under another name
    app()
