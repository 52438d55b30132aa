# Everything about testing. Each kind of test has its own rules beside it.
-include t/unit/rules.mk
-include t/fuzz/rules.mk
-include t/bench/rules.mk
-include t/apps/rules.mk
-include t/simulation/rules.mk
-include t/client/rules.mk
-include t/browser/rules.mk

# Verifies a token with key files: for t/build/05-token-examples.t.
$(BUILD)/t/verify_token: t/build/verify_token.cc $(BUILD)/libheartbeat.a
	@mkdir -p $(@D)
	$(COMPILE) $< $(BUILD)/libheartbeat.a $(LIBS) -o $@
