"""Spicepods: manifest, problems, the live pod and its recommendation."""
