# Fuzz targets: what parses bytes from outside, under libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer.
# fuzz-replay runs each over its corpus once; fuzz searches for FUZZ_SECONDS in all, and leaves what it finds in BUILD.

CLANGXX ?= clang++
FUZZ_SECONDS ?= 60
FUZZ_FLAGS = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined
FUZZ_SOURCES := $(sort $(wildcard t/fuzz/fuzz_*.cc))
FUZZ_NAMES := $(FUZZ_SOURCES:t/fuzz/fuzz_%.cc=%)
FUZZ_TARGETS := $(FUZZ_NAMES:%=$(BUILD)/t/fuzz/%)
FUZZ_CORE := $(CORE_SOURCES:%.cc=$(BUILD)/t/fuzz/core/%.o)
FUZZ_COMPILE = $(CLANGXX) $(FUZZ_FLAGS) $(filter-out -fno-gnu-unique $(SANITIZER_FLAGS),$(CORE_FLAGS)) -MMD -MP

.PHONY: fuzz-targets fuzz-replay
.SECONDARY: $(FUZZ_TARGETS:%=%.o)
fuzz-targets: $(FUZZ_TARGETS)

$(FUZZ_CORE): $(BUILD)/t/fuzz/core/%.o: %.cc | $(GENERATED)
	@mkdir -p $(@D)
	$(FUZZ_COMPILE) -fsanitize=fuzzer-no-link -c $< -o $@
$(BUILD)/t/fuzz/libheartbeat.a: $(FUZZ_CORE)
	rm -f $@ && $(AR) rcs $@ $^
$(FUZZ_TARGETS:%=%.o): $(BUILD)/t/fuzz/%.o: t/fuzz/fuzz_%.cc | $(GENERATED)
	@mkdir -p $(@D)
	$(FUZZ_COMPILE) -fsanitize=fuzzer-no-link -c $< -o $@
$(FUZZ_TARGETS): %: %.o $(BUILD)/t/fuzz/libheartbeat.a
	$(CLANGXX) $(FUZZ_FLAGS) -fsanitize=fuzzer $^ $(LIBS) -o $@

fuzz-replay: fuzz-targets
	@for name in $(FUZZ_NAMES); do ./t/fuzz/run $(BUILD)/t/fuzz $$name -runs=0 || exit 1; done

fuzz:
	./tools/deps fuzz
	+$(MAKE) --no-print-directory fuzz-targets
	@printf '%s\n' $(FUZZ_NAMES) | xargs -P 2 -I {} ./t/fuzz/run $(BUILD)/t/fuzz {} \
	  -max_total_time=$$(( $(FUZZ_SECONDS) * 2 / $(words $(FUZZ_NAMES)) ))

-include $(FUZZ_TARGETS:%=%.d) $(FUZZ_CORE:.o=.d)
