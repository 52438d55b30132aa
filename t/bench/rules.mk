# make bench: what a ping costs, beside what the servers' own shortest answers cost.
.PHONY: bench
bench:
	./tools/deps bench
	+$(MAKE) --no-print-directory nginx apache
	BUILD=$(CURDIR)/$(BUILD) t/bench/bench $(BENCH)
