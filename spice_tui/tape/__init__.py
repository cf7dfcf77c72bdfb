"""Tapes: scripts of keys that play on the screens, and pictures of what they show."""
