"""What W&B's server shows: the runs that were logged offline, sent to it, and one layout for everybody."""
