"""Where components are now that stored configurations name by an earlier path: the one place that knows."""

ALIASES: dict[str, str] = {
    "harness.config.Scale": "harness.config.execution.Scale",
    "harness.config.Granted": "harness.config.setup.KnowledgeSettings",
    "harness.log.NoLogger": "harness.loggers.logger.NoLogger",
    "harness.tables.feedback.report.FeedbackReport": "harness.papers.feedback.report.FeedbackReport",
    "harness.tables.outcomes.report.OutcomeReport": "harness.papers.outcomes.report.OutcomeReport",
}
"""From the path of a class as it was, oldest first, to the path that it has: a line for each that has moved."""


def current(path: str) -> str:
    """The path of a component today."""
    return ALIASES.get(path, path)


def original(path: str) -> str:
    """The path that a component had when it first moved; its own where it never did."""
    return next((old for old, new in ALIASES.items() if new == path), path)
