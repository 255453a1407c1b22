# `make check` is what CI runs. The flags are the same everywhere: others would compile every dependency anew.
.DEFAULT_GOAL := build
.PHONY: build test race lint fuzz rules bench integration demo check

build: ## the binary, ./klaxon
	CGO_ENABLED=0 go build -o klaxon ./cmd/klaxon

test: ## quick: no server is started
	go test -short ./...

integration: ## everything, with a real Kafka, a real Elasticsearch and a real PostgreSQL
	KLAXON_TEST_REQUIRE=kafka,elasticsearch,postgres go test -count=1 -timeout 30m ./...

race:
	go test -race -short -timeout 15m ./...

lint:
	.ci/run lint

fuzz: ## a minute, shared among all targets
	.ci/run fuzz

rules: ## the tests inside rules and datasets
	go run ./cmd/klaxon rules test
	go run ./cmd/klaxon datasets test

bench: ## events a second of the archive and match loops on one core; see bench/README.md
	go test -run '^$$' -bench . ./bench

demo: ## realistic traffic with attacks in it, thirty seconds
	go run ./cmd/klaxon demo --for 30s

check:
	.ci/run
