"""Where data comes from; one small module each."""
