"""One static site of all results: `harness report`, then open results/site/index.html.

Python writes pages of tables and one small file of data per run; a page of a run, and of two beside each other,
is drawn from those by the scripts in assets/. No server, no network: every page opens from the disk.
"""
