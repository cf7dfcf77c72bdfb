"""The widgets of the terminal app: one widget, one file, with its own CSS."""
