# The modules of the applications that tests run, at the versions of their lock file.

.PHONY: apps
apps: build/apps/express/.installed

build/apps/express/.installed: $(addprefix t/apps/express/,package.json package-lock.json .npmrc)
	@mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && npm ci --silent --no-audit --no-fund
	touch $@
