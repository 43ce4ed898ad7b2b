"""What leaks from a user's own model and update: checks, closed forms, attacks and one report."""
