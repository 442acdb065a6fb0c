"""Servers that do the same: hold streams open, and at SIGUSR1 send one frame to each."""
