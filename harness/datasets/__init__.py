"""Labelled images: embedded, from torchvision, from folders and from sheets of tiles."""
