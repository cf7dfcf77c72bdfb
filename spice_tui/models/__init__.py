"""What the screens show, as plain data and functions: no module here imports Textual."""
