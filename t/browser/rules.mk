# What drives Chromium in t/browser, at the version of its lock file. make browser: those tests alone, on both servers;
# make browser-long: those that take many minutes, or measure, and one
# in Firefox.
.PHONY: browser browser-long browser-driver
browser-driver: build/browser/.installed

build/browser/.installed: $(addprefix t/browser/,package.json package-lock.json .npmrc)
	@mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && npm ci --silent --no-audit --no-fund --ignore-scripts
	touch $@

browser:
	./tools/deps test
	+$(MAKE) --no-print-directory all browser-driver
	for server in nginx apache-event; do HEARTBEAT_BUILD=$(BUILD) HEARTBEAT_SERVER=$$server prove -j2 -It/lib t/browser || exit 1; done

browser-long:
	./tools/deps long
	+$(MAKE) --no-print-directory all browser-driver
	for server in nginx apache-event; do HEARTBEAT_BUILD=$(BUILD) HEARTBEAT_SERVER=$$server prove -It/lib t/browser/long || exit 1; done
