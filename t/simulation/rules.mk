# make simulation: users come, go and crash on a mixed fleet, and Redis holds what they did. SIZE=full: ten thousand users.
.PHONY: simulation
simulation:
	./tools/deps test
	+$(MAKE) --no-print-directory all
	HEARTBEAT_BUILD=$(BUILD) HEARTBEAT_SANITIZE=$(SANITIZE) HEARTBEAT_SIMULATION=$(SIZE) prove -It/lib t/simulation
