# Unit tests: one program for each file of the core, in BUILD/t/unit.

UNIT_SOURCES := $(sort $(wildcard t/unit/test_*.cc))
UNIT_OBJECTS := $(UNIT_SOURCES:%.cc=$(BUILD)/%.o)
UNIT_TESTS := $(UNIT_SOURCES:%.cc=$(BUILD)/%)

.PHONY: unit unit-tests
.SECONDARY: $(UNIT_OBJECTS)
unit-tests: $(UNIT_TESTS)

$(UNIT_OBJECTS): $(BUILD)/%.o: %.cc | $(GENERATED)
	@mkdir -p $(@D)
	$(COMPILE) -c $< -o $@
$(UNIT_TESTS): %: %.o $(BUILD)/libheartbeat.a
	$(CXX) $(SANITIZER_FLAGS) $^ $(LIBS) -lcmocka -lpthread -o $@

unit: unit-tests
	@./t/unit/run $(UNIT_TESTS)

-include $(UNIT_OBJECTS:.o=.d)
