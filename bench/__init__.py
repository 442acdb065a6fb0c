"""Figures, side by side with a peer and the physical limit; they are printed, never asserted."""
