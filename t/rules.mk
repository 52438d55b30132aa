# Everything about testing. Each kind of test has its own rules beside it.
-include t/unit/rules.mk
-include t/fuzz/rules.mk
-include t/bench/rules.mk
-include t/apps/rules.mk
