"""What a server does to a model before it sends it: one server per file."""
