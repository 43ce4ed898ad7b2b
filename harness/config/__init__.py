"""From YAML to an experiment: composed by Hydra, validated, checked."""

from harness.config.composition import compose as compose
