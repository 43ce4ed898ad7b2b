"""Many runs from one command: composed and checked before anything runs, launched once each, watched in the store."""
