# make bench: what a ping costs, beside what the servers' own shortest answers cost, and what presence costs Redis.
.PHONY: bench
bench:
	./tools/deps bench
	+$(MAKE) --no-print-directory nginx apache $(BUILD)/t/presence $(BUILD)/t/memory
	BUILD=$(CURDIR)/$(BUILD) t/bench/bench $(BENCH)

# Simulated hosts that beat at one Redis.
$(BUILD)/t/presence: t/bench/presence.cc $(BUILD)/libheartbeat.a
	@mkdir -p $(@D)
	$(COMPILE) $< $(BUILD)/libheartbeat.a $(LIBS) -o $@

# What reading memory takes here and now.
$(BUILD)/t/memory: t/bench/memory.cc
	@mkdir -p $(@D)
	$(COMPILE) $< -o $@
