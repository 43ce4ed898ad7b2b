"""One front door: what is done with stored runs, by the name of a command."""
