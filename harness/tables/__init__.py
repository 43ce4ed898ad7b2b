"""A paper's table as data: its cells, their statistics, its claims, and the files that show it."""
