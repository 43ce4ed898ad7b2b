"""Have a launcher carry out what is missing from the store."""

import sys

from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from omegaconf import DictConfig

from harness import interruption
from harness.cells.plan import AnyCell, Plan, check_data
from harness.cells.task import CellsTask
from harness.cells.watch import Tell, watch
from harness.files import check_writable
from harness.records import Store


def launch(
    context: HydraContext, config: DictConfig, store: Store, plan: Plan[AnyCell], title: str, tell: Tell
) -> str | None:
    """Have the configured launcher carry out the runs of a plan that are not in the store, each once.

    Cells that differ in seed and start alone are one job: their attacks share one engine.
    Whether a run succeeded, the store says. Returns what broke the launcher itself, if something did.
    """
    runs = {experiment.id: cell for cell, experiment in plan.items()}
    pending = {identity: cell for identity, cell in runs.items() if store.load(identity) is None}
    if not pending:
        return None
    check_writable(store.root)
    check_data(plan.values())
    jobs: dict[str, list[AnyCell]] = {}
    for cell in pending.values():
        jobs.setdefault(plan[cell].kinship, []).append(cell)
    task = CellsTask(tuple(tuple(plan[cell] for cell in job) for job in jobs.values()))
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=context, task_function=task, config=config
    )
    names = {identity: cell.name for identity, cell in pending.items()}
    with watch(title, store, names, tell, done=len(runs) - len(pending)):
        try:
            launcher.launch([list(job[0].overrides) for job in jobs.values()], initial_job_idx=0)
        except RuntimeError as error:  # a worker was killed: joblib and submitit give up
            print(error, file=sys.stderr)
            return f"the launcher broke: {error}".splitlines()[0]
        finally:
            interruption.check()
    return None
