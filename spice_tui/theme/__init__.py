"""Signs, colours and themes."""
