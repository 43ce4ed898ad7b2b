"""Label inference: one rule per file."""
