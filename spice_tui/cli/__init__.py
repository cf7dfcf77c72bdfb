"""The command line: one module a noun, loaded only when that noun is used."""
