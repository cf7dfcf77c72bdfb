"""Data in: connectors, processors and the bucketed state table."""
