"""What makes two runs the same: stable names, settings, and digests of files and of foreign code."""
