"""How bytes become rows; one small module each."""
