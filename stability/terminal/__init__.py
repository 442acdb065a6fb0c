"""What commands print, and the way by which they reach the state."""
