"""Workflows: scripts that make runs, and steps declared in YAML."""
