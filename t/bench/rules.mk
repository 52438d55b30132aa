# make bench: what a ping costs, beside what the servers' own shortest answers cost.
BENCH_PACKAGES = wrk valgrind strace libnginx-mod-http-lua lua-nginx-redis

bench: nginx apache
	@missing=; for package in $(BENCH_PACKAGES); do dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	  test -z "$$missing" || { apt-get update && apt-get install -y --no-install-recommends $$missing; }
	BUILD=$(CURDIR)/$(BUILD) t/bench/bench $(BENCH)
