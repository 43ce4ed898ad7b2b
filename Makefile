# Every target sets up its own environment: a fresh clone needs Python 3.11 and nothing else.
SHELL := bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV ?= $(shell command -v uv)
SCALE ?= small
DATASET ?= digits32
DATA ?=
PUBLISHED ?=
JOBS ?= 2
LAUNCHER ?= joblib
PARTITION ?=
GPUS ?=
MINUTES ?=
TABLE ?= table3
SWEEP ?= batch_epochs
RUNS ?= runs
PROBLEMS ?= 16
ONLY ?=
EXAMPLES ?= 1000
CLUSTER ?= tests/cells/slurm
PROJECT ?= harness

VENV := .venv
READY := $(VENV)/.ready
RUN := OMP_NUM_THREADS=1 $(VENV)/bin/python -m harness
SOURCES := $(if $(DATA),data.root=$(DATA)) $(if $(PUBLISHED),paths.published=$(PUBLISHED))
ifneq ($(filter-out 0,$(shell expr $(JOBS) + 0 2>/dev/null || echo 0)),$(JOBS))
$(error JOBS=$(JOBS): say how many processes, 1 or more)
endif
PARALLEL_joblib := $(if $(filter-out 1,$(JOBS)),hydra/launcher=joblib hydra.launcher.n_jobs=$(JOBS))
PARALLEL_submitit_slurm := hydra/launcher=submitit_slurm hydra.launcher.array_parallelism=$(JOBS) \
	$(if $(PARTITION),hydra.launcher.partition=$(PARTITION)) $(if $(GPUS),hydra.launcher.gpus_per_node=$(GPUS)) \
	$(if $(MINUTES),hydra.launcher.timeout_min=$(MINUTES))
PARALLEL := $(or $(PARALLEL_$(LAUNCHER)),$(if $(filter-out joblib,$(LAUNCHER)),hydra/launcher=$(LAUNCHER)))

WANTED := --constraint constraints.txt --editable '.[dev]'
BY_UV = $(UV) venv --quiet --seed --allow-existing --python $(PYTHON) $(VENV) && $(UV) pip install --python $(VENV)/bin/python $(WANTED)
# Of pip what is under way; what it says on stderr (hundreds of lines where an index is half there) only where it fails.
BY_PIP = $(PYTHON) -m venv $(VENV) && $(VENV)/bin/pip install --progress-bar off $(WANTED) 2> $(VENV)/setup.log \
	| sed -un -e 's/^Collecting \([^ (]*\).*/  found \1/p' -e 's/^\(Building .*\)/  \1/p' \
		-e 's/^Installing collected packages.*/  installing all of them: a minute/p' \
	|| { cat $(VENV)/setup.log >&2; exit 2; }

.PHONY: help setup test slurm hostile lint fidelity smoke table3 ggl dlgfb labels noteasy dlf attacks survey tables sweep accuracy report publish bench wheel newcomer data dashboard wandb-sync wandb-workspace clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt $(wildcard harness/attacks/solvers/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: say make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "setting up $(VENV) with $(if $(UV),uv,pip): torch and what goes with it, a gigabyte and some minutes where nothing is cached"
	@$(if $(UV),$(BY_UV),$(BY_PIP))
	@touch $@
	@echo "$(VENV) is ready: $(VENV)/bin/harness --help"

setup: $(READY)  ## make the environment .venv from constraints.txt

test: $(READY)  ## run the tests
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2

slurm: $(READY)  ## run the tests on a real SLURM of two nodes, which it installs (root, Debian)
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -m slurm $(CLUSTER)

hostile: $(READY)  ## give the command line EXAMPLES=n odd settings, files and conditions of each kind
	OMP_NUM_THREADS=1 HARNESS_EXAMPLES=$(EXAMPLES) $(VENV)/bin/python -m pytest -n 2 --timeout 3600 \
		tests/commands/test_generated.py tests/tables/test_odd_plans.py tests/store/test_odd_conditions.py

lint: $(READY)  ## ruff and mypy (strict on harness/)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

fidelity: $(READY)  ## every method beside its authors' formula: prints the table, writes docs/fidelity.md
	@OMP_NUM_THREADS=1 $(VENV)/bin/python -m tests.fidelity

table3: $(READY)  ## GGL's Table 3: SCALE=smoke|small|medium|paper DATASET=name DATA=folder JOBS=n LAUNCHER=name PUBLISHED=none
	@$(RUN) table=table3 scale=$(SCALE) dataset=$(DATASET) $(SOURCES) $(PARALLEL)

GGL := ggl_losses ggl_optimizers ggl_soteria ggl_combined ggl_landscape ggl_unseen

ggl: $(READY)  ## GGL's Tables 1 and 2 and Figures 3 and 5 to 9: SCALE, DATASET, DATA, JOBS as above
	@$(foreach table,$(GGL),$(RUN) table=$(table) scale=$(SCALE) dataset=$(DATASET) $(SOURCES) $(PARALLEL) &&) true

dlgfb: $(READY)  ## feedback blending, Figures 3 to 5: SCALE, DATASET, DATA, JOBS as above
	@$(RUN) table=dlgfb scale=$(SCALE) dataset=$(DATASET) $(SOURCES) $(PARALLEL)

noteasy: $(READY)  ## the outcomes of Not Easy: SCALE, DATASET, DATA, JOBS as above
	@$(RUN) table=noteasy scale=$(SCALE) dataset=$(DATASET) $(SOURCES) $(PARALLEL)

dlf: $(READY)  ## DLF in its own setting, by two weightings, beside IG: as above (SCALE=paper: half an hour a client)
	@$(RUN) table=dlf scale=$(SCALE) dataset=$(DATASET) $(SOURCES) $(PARALLEL)

ATTACKS := cpa cpa_fi grnn dmgan

attacks: $(READY)  ## CPA, CPA-FI, GRNN and DMGAN, each in its own setting beside its controls: as above
	@$(foreach table,$(ATTACKS),$(RUN) table=$(table) scale=$(SCALE) dataset=$(DATASET) $(SOURCES) $(PARALLEL) &&) true

SURVEY := rtf fedavg batch resolution architecture training labels peft ggl ci_net families checks gate

survey: $(READY)  ## what the survey says, checked: every table and figure beside its numbers, its theory; as above
	@$(foreach part,$(SURVEY),$(RUN) table=survey_$(part) scale=$(SCALE) dataset=$(DATASET) $(SOURCES) $(PARALLEL) &&) true
	@$(RUN) sweep=survey_stages scale=$(SCALE) dataset=$(DATASET) $(SOURCES) $(PARALLEL)

labels: $(READY)  ## label inference: every rule by model state, batch size and epochs, and beside breaching; as above
	@$(RUN) table=labels scale=$(SCALE) dataset=$(DATASET) $(SOURCES) $(PARALLEL)
	@$(RUN) table=labels_peers scale=$(SCALE) dataset=$(DATASET) $(SOURCES) $(PARALLEL)

tables: table3 ggl dlgfb labels noteasy  ## every table

sweep: $(READY)  ## batch size x local epochs x attack, with plots: SWEEP=name; SCALE, DATASET, DATA, JOBS as above
	@$(RUN) sweep=$(SWEEP) scale=$(SCALE) dataset=$(DATASET) $(SOURCES) $(PARALLEL)

accuracy: $(READY)  ## how well networks learn in federated rounds; photographs are mirrored and shifted
	@$(RUN) sweep=accuracy scale=$(SCALE) dataset=$(DATASET) $(SOURCES) $(PARALLEL) \
		$(if $(filter-out digits32,$(DATASET)),defense=augmentation dataset.public_fraction=0.02)

smoke: $(READY)  ## the whole of table 3 in seconds, with meaningless numbers
	@$(RUN) table=table3 scale=smoke

bench: $(READY)  ## the engine beside the authors' way, one image at a time: PROBLEMS=n ONLY="part ..." DATA=folder
	@OMP_NUM_THREADS=1 $(if $(DATA),HARNESS_DATA=$(DATA)) $(VENV)/bin/python -m harness bench \
		--problems $(PROBLEMS) $(if $(ONLY),--only $(ONLY))

report: $(READY)  ## one static site of all results, runs and images: results/site/index.html
	@$(VENV)/bin/python -m harness report $(if $(filter-out runs,$(RUNS)),--runs $(RUNS))

publish: $(READY)  ## copy rendered results of TABLE=name to experiments/results/
	@$(VENV)/bin/python -m harness publish $(TABLE)

wheel: $(READY)  ## build dist/gradient_inversion_harness-*.whl
	@rm -rf build dist
	@$(VENV)/bin/pip wheel --quiet --no-deps --wheel-dir dist .

newcomer: $(READY)  ## what a newcomer does first, from clean folders with the wheel: steps, commands, seconds
	@.ci/newcomer

data: $(READY)  ## download DATASET=name into DATA=folder
	@$(VENV)/bin/python -m harness data $(DATASET) $(if $(DATA),--root $(DATA))

dashboard: $(READY)  ## browse the logged runs in the terminal (W&B leet)
	@$(VENV)/bin/wandb leet $(RUNS)/wandb

wandb-sync: $(READY)  ## send finished offline runs to W&B, each once (needs an API key)
	@$(VENV)/bin/python -m harness sync --runs $(RUNS)

wandb-workspace: $(READY)  ## save the common layout of the W&B dashboards (needs an API key): PROJECT=name
	@$(VENV)/bin/python -m harness workspace --project $(PROJECT)

clean:  ## remove the environment and caches; runs and results stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info build dist
