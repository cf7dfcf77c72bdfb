"""How the program behaves in a terminal: drawing, signals, copying, abilities."""
