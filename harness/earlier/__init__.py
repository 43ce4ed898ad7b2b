"""Names that commands had as modules, `python -m harness.query`: found on the path of the package."""
