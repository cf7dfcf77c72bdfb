"""`spell.api`: the specs of searches and the errors, by Spell's names."""
