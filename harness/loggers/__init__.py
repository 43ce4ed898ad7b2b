"""One file per logger."""
