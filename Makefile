# make: both modules. make run: see it work. make test: prove it. make bench, make fuzz, make install DESTDIR=...
# BUILD is where everything goes; SANITIZE=1 builds with AddressSanitizer and UndefinedBehaviorSanitizer beside it.

MAKEFLAGS += --no-builtin-rules
SANITIZE ?= 0
ifeq ($(SANITIZE),1)
BUILD ?= build/sanitize
SANITIZER_FLAGS = -fsanitize=address,undefined -fno-sanitize=vptr -fno-omit-frame-pointer
else
BUILD ?= build
endif
CXX = g++
APXS ?= apxs
NGINX_SRC ?= /usr/share/nginx/src
LIBDIR ?= $(shell $(CXX) -print-multiarch 2>/dev/null)
LIBS = /usr/lib/$(LIBDIR)/libhiredis.a /usr/lib/$(LIBDIR)/libsodium.a -ljwt -ljansson -lcrypto

CXXFLAGS ?= -O2 -g
# What is generated is found under the name that its rule has: so what includes it is compiled after it.
CORE_FLAGS = -std=c++20 -fPIC -fno-exceptions -fno-rtti -fno-gnu-unique -fno-threadsafe-statics -fvisibility=hidden \
	-Wall -Wextra -Werror -I$(BUILD)/gen -I$(CURDIR) -I$(CURDIR)/$(BUILD)/gen $(SANITIZER_FLAGS)
COMPILE = $(CXX) $(CXXFLAGS) $(CORE_FLAGS) -MMD -MP

CORE_SOURCES := $(sort $(wildcard shared/*/*.cc))
CORE_OBJECTS := $(CORE_SOURCES:%.cc=$(BUILD)/%.o)
NGX_SOURCES := $(sort $(wildcard ngx_heartbeat/*.cc))
NGX_OBJECTS := $(NGX_SOURCES:%.cc=$(BUILD)/%.o)
MOD_SOURCES := $(sort $(wildcard mod_heartbeat/*.cc))
MOD_OBJECTS := $(MOD_SOURCES:%.cc=$(BUILD)/%.o)
GENERATED := $(addprefix $(BUILD)/gen/,flush_lua.h sweep_lua.h audit_lua.h touch_lua.h online_lua.h beacons_lua.h views_lua.h \
	view_lua.h online_html.h page_html.h page_js.h audit_html.h audit_css.h loader_js.h client_js.h client_js_gz.h client_js_br.h)

.PHONY: all core nginx apache install clean run test bench fuzz archive docs docs-check
all: nginx apache
core: $(BUILD)/libheartbeat.a
nginx: $(BUILD)/ngx_http_heartbeat_module.so
apache: $(BUILD)/mod_http_heartbeat.so

# --- the core ---

$(BUILD)/gen/flush_lua.h: shared/redis/presence.lua shared/redis/flush.lua
$(BUILD)/gen/sweep_lua.h: shared/redis/presence.lua shared/redis/sweep.lua
$(BUILD)/gen/touch_lua.h: shared/redis/touch.lua
$(BUILD)/gen/online_lua.h: shared/redis/presence.lua shared/redis/online.lua
$(BUILD)/gen/beacons_lua.h: $(addprefix shared/redis/,presence.lua delivery.lua beacons.lua)
$(BUILD)/gen/views_lua.h: $(addprefix shared/redis/,presence.lua delivery.lua views.lua)
$(BUILD)/gen/view_lua.h: shared/redis/view.lua
$(BUILD)/gen/online_html.h: shared/client/online.html
$(BUILD)/gen/page_html.h: shared/client/page.html
$(BUILD)/gen/page_js.h: $(BUILD)/gen/page.js
$(BUILD)/gen/audit_lua.h: shared/redis/audit.lua
$(BUILD)/gen/audit_html.h: shared/client/audit.html
$(BUILD)/gen/audit_css.h: shared/client/audit.css
$(BUILD)/gen/loader_js.h: $(BUILD)/gen/loader.js
$(BUILD)/gen/client_js.h: $(BUILD)/gen/client.js
$(BUILD)/gen/client_js_gz.h: $(BUILD)/gen/client.js.gz
$(BUILD)/gen/client_js_br.h: $(BUILD)/gen/client.js.br
$(BUILD)/gen/flush_lua.h: NAME = kFlushLua
$(BUILD)/gen/audit_lua.h: NAME = kAuditLua
$(BUILD)/gen/audit_html.h: NAME = kAuditHtml
$(BUILD)/gen/audit_css.h: NAME = kAuditCss
$(BUILD)/gen/sweep_lua.h: NAME = kSweepLua
$(BUILD)/gen/touch_lua.h: NAME = kTouchLua
$(BUILD)/gen/online_lua.h: NAME = kOnlineLua
$(BUILD)/gen/beacons_lua.h: NAME = kBeaconsLua
$(BUILD)/gen/views_lua.h: NAME = kViewsLua
$(BUILD)/gen/view_lua.h: NAME = kViewLua
$(BUILD)/gen/online_html.h: NAME = kOnlineHtml
$(BUILD)/gen/page_html.h: NAME = kPageHtml
$(BUILD)/gen/page_js.h: NAME = kPageJs
$(BUILD)/gen/loader_js.h: NAME = kLoaderJs
$(BUILD)/gen/client_js.h: NAME = kClientJs
$(BUILD)/gen/client_js_gz.h: NAME = kClientJsGz
$(BUILD)/gen/client_js_br.h: NAME = kClientJsBr
$(GENERATED): shared/embed.sh
	@mkdir -p $(@D)
	./shared/embed.sh $(NAME) $(filter-out %.sh,$^) > $@.$$$$ && mv $@.$$$$ $@  # two makes may do this at once

# The client script: bundled by esbuild, made smaller by Terser, at the versions of the lock file, and compressed once and
# for all.
CLIENT_SOURCES := $(wildcard shared/client/*.js)
# OWN: names of members that no page and no browser knows.
OWN = acknowledge add ahead alone answered batches became clock configure cut end facts final flying human known merge news \
  next pinging reachable said speak wake yieldTo
ESBUILD = build/client/node_modules/.bin/esbuild --bundle --minify --format=iife --target=es2022 --log-level=warning \
  --mangle-props='^($(subst $() ,|,$(OWN)))$$'
# What Terser calls unsafe is safe here: none of our functions is called with `new`, or knows `this`.
TERSER = build/client/node_modules/.bin/terser --compress passes=5,ecma=2020,arrows=false,comparisons=false,unsafe_arrows,unsafe_methods --mangle
FILLED = 's/"@SETTINGS@"/@SETTINGS@/'
build/client/.installed: $(addprefix shared/client/,package.json package-lock.json .npmrc)
	@mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && npm ci --silent --no-audit --no-fund --ignore-scripts
	touch $@
$(addprefix $(BUILD)/gen/,client.js loader.js page.js): $(BUILD)/gen/%.js: $(CLIENT_SOURCES) build/client/.installed Makefile
	@mkdir -p $(@D)
	$(ESBUILD) shared/client/$*.js | $(TERSER) | sed $(FILLED) > $@.$$$$ && test -s $@.$$$$ && mv $@.$$$$ $@
$(BUILD)/gen/%.js.gz: $(BUILD)/gen/%.js shared/client/compress.cjs
	node shared/client/compress.cjs $< $@
$(BUILD)/gen/%.js.br: $(BUILD)/gen/%.js shared/client/compress.cjs
	node shared/client/compress.cjs $< $@

$(CORE_OBJECTS): $(BUILD)/%.o: %.cc | $(GENERATED)
	@mkdir -p $(@D)
	$(COMPILE) -c $< -o $@

$(BUILD)/libheartbeat.a: $(CORE_OBJECTS)
	rm -f $@ && $(AR) rcs $@ $^

# --- nginx: its own build makes the module; the C++ parts come as one archive, made by the rules here ---

# Called by config.make of an nginx build: NGX_ROOT is where that runs, NGX_INCS its include flags.
archive: $(BUILD)/libngx_heartbeat.a
$(NGX_OBJECTS): $(BUILD)/%.o: %.cc $(NGX_STAMP) | $(GENERATED)
	@mkdir -p $(@D)
	cd $(NGX_ROOT) && $(COMPILE) -MT $@ $(patsubst -I,-isystem,$(NGX_INCS)) -c $(CURDIR)/$< -o $(CURDIR)/$@
$(BUILD)/libngx_heartbeat.a: $(CORE_OBJECTS) $(NGX_OBJECTS)
	rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/nginx/Makefile: config config.make $(NGINX_SRC)/conf_flags
	@mkdir -p $(BUILD)
	cd $(NGINX_SRC) && HEARTBEAT_BUILD=$(BUILD) HEARTBEAT_SANITIZE=$(SANITIZE) bash -c '. ./conf_flags && ./configure \
	  "$${NGX_CONF_FLAGS[@]}" --with-cc-opt="-O2 -g -fPIC" --with-ld-opt="-fPIC" \
	  --builddir=$(CURDIR)/$(BUILD)/nginx --add-dynamic-module=$(CURDIR)' > $(CURDIR)/$(BUILD)/nginx-configure.log 2>&1 \
	  || { cat $(CURDIR)/$(BUILD)/nginx-configure.log; exit 1; }

$(BUILD)/ngx_http_heartbeat_module.so: $(BUILD)/nginx/Makefile $(CORE_SOURCES) $(NGX_SOURCES) \
		$(wildcard shared/*/* shared/*.h ngx_heartbeat/*) | $(BUILD)/libheartbeat.a  # or two makes would build the core
	+$(MAKE) --no-print-directory -f $(CURDIR)/$(BUILD)/nginx/Makefile -C $(NGINX_SRC) modules
	cp $(BUILD)/nginx/ngx_http_heartbeat_module.so $@.new && mv $@.new $@  # a server may have the old one open

# --- Apache: with apxs' own values ---

MOD_FLAGS = $(shell $(APXS) -q EXTRA_CPPFLAGS) -isystem $(shell $(APXS) -q INCLUDEDIR) \
	-isystem $(shell $(APXS) -q APR_INCLUDEDIR) -isystem $(shell $(APXS) -q APU_INCLUDEDIR)
$(MOD_OBJECTS): $(BUILD)/%.o: %.cc | $(GENERATED)
	@mkdir -p $(@D)
	$(COMPILE) $(MOD_FLAGS) -c $< -o $@
$(BUILD)/mod_http_heartbeat.so: $(MOD_OBJECTS) $(BUILD)/libheartbeat.a mod_heartbeat/exports.map
	$(CC) -shared -o $@.new $(MOD_OBJECTS) $(BUILD)/libheartbeat.a $(LIBS) -Wl,--version-script=mod_heartbeat/exports.map \
	  -Wl,-z,relro,-z,now && mv $@.new $@

install: all
	install -d $(DESTDIR)/usr/lib/nginx/modules $(DESTDIR)$(shell $(APXS) -q LIBEXECDIR)
	install -m 644 $(BUILD)/ngx_http_heartbeat_module.so $(DESTDIR)/usr/lib/nginx/modules/
	install -m 644 $(BUILD)/mod_http_heartbeat.so $(DESTDIR)$(shell $(APXS) -q LIBEXECDIR)/

# --- seeing and proving it: these install what is missing first ---

run:
	./tools/deps run
	+$(MAKE) --no-print-directory all
	BUILD=$(BUILD) ./tools/run

test:
	./tools/deps test
	+$(MAKE) --no-print-directory all unit-tests fuzz-targets apps browser-driver docs-check
	BUILD=$(BUILD) SANITIZE=$(SANITIZE) ./tools/test

# --- the manual's table of settings ---

$(BUILD)/settings_table: tools/settings_table.cc $(BUILD)/libheartbeat.a
	$(COMPILE) $< $(BUILD)/libheartbeat.a $(LIBS) -o $@
docs: $(BUILD)/settings_table
	$(BUILD)/settings_table > docs/settings.md
docs-check: $(BUILD)/settings_table
	@$(BUILD)/settings_table | diff -u docs/settings.md - || { echo 'docs/settings.md is not of this table: make docs'; exit 1; }

clean:
	rm -rf build

-include t/rules.mk
-include $(CORE_OBJECTS:.o=.d) $(NGX_OBJECTS:.o=.d) $(MOD_OBJECTS:.o=.d)
