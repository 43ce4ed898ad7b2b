"""How a data set is dealt out to clients: one way per file."""
