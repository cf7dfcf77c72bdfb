"""The names that scripts written for Spell import; there inside our children only."""
