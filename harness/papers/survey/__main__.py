"""Write experiments/results/survey/README.md from the published tables."""

from harness.base.files import write_atomically
from harness.base.schema import EXPERIMENTS
from harness.papers.survey.claims import page

if __name__ == "__main__":
    results = EXPERIMENTS / "results"
    (results / "survey").mkdir(exist_ok=True)
    write_atomically(results / "survey" / "README.md", page(results).encode())
