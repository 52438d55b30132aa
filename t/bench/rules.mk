# make bench: what a ping costs, beside what the servers' own shortest answers cost, and what presence costs Redis.
.PHONY: bench
bench:
	./tools/deps bench
	+$(MAKE) --no-print-directory nginx apache $(addprefix $(BUILD)/t/,presence memory load)
	BUILD=$(CURDIR)/$(BUILD) t/bench/bench $(BENCH)

# Simulated hosts that beat at one Redis.
$(BUILD)/t/presence: t/bench/presence.cc $(BUILD)/libheartbeat.a
	@mkdir -p $(@D)
	$(COMPILE) $< $(BUILD)/libheartbeat.a $(LIBS) -o $@

# What reading memory takes here and now; full load.
$(BUILD)/t/memory $(BUILD)/t/load: $(BUILD)/t/%: t/bench/%.cc
	@mkdir -p $(@D)
	$(COMPILE) $< -o $@
