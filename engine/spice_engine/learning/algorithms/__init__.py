"""One readable file an algorithm."""
