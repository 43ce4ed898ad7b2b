"""One file per client-side defence, with the estimator of an attacker who knows its kind."""
