"""What algorithms that learn by acting step: one protocol, a file for each problem class."""
