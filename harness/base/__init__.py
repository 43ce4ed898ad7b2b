"""What needs no torch: errors, files, components and their settings, and what Hydra and the terminal ask for."""
