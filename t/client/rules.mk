# make client-tests: the parts of the client script that need no browser, in Node's own test runner.
.PHONY: client-tests
client-tests:
	@node --test --test-reporter=spec t/client/*.test.mjs
