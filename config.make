# How an nginx build gets the archive that config names.
cat << END                                                    >> $NGX_MAKEFILE

.PHONY: heartbeat-archive
heartbeat-archive:
	\$(MAKE) --no-print-directory -C $ngx_addon_dir archive BUILD=${HEARTBEAT_BUILD:-build} \\
		SANITIZE=${HEARTBEAT_SANITIZE:-0} NGX_ROOT="\$(CURDIR)" NGX_INCS="\$(ALL_INCS)"

$ngx_addon_dir/${HEARTBEAT_BUILD:-build}/libngx_heartbeat.a: heartbeat-archive
	@:

END
