"""Runs: the state machine of everything that executes."""
