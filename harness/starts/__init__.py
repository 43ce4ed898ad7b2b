"""Where an attacker who inverts one update after another begins each search."""
