"""Torch on this computer: devices, memory, processes, and the libraries that it drags in."""
