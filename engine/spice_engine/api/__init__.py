"""The two doors: the private socket and HTTP."""
