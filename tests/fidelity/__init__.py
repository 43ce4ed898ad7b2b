"""Every method held against its authors' formula, written out independently: `make fidelity`."""
