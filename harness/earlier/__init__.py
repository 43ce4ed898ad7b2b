"""Names that modules had, which people know: found on the path of the package, so `harness.run` still is."""
