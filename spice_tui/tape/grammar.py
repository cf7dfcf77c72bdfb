"""The grammar of tapes."""
