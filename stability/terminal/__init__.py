"""The command line's rooms: what `stability watch`, `wait` and `welcome` print, and by which way they come to it."""
