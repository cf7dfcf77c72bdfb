"""What is on disk: SQLite with group commit, metrics, the object store and append logs."""
