"""The terminal side: client, command line, screens. Reaches the engine through its client."""
