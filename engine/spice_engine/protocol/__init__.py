"""What crosses the doors: frames, messages and dataclasses. Imports errors, nothing else."""
