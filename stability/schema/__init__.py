"""The schema `stability`: its revision, how it is brought there, beside tables that were there before, and removed."""
