"""What became of attacks of which a paper only says success, partial or fail."""
