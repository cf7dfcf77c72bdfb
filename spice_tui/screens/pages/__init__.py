"""The pages of the pods view: one page, one file."""
