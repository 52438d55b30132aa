#!/bin/sh
# Turns the files that are not C++ into a header: embed.sh NAME FILE... > HEADER. Several
# files become one text. The SHA-1 is how Redis names a script.
set -eu
name=$1
shift
printf '// Made from %s.\n#pragma once\n\n#include <string_view>\n\nnamespace heartbeat {\n\n' "$(basename -a "$@" | paste -sd" ")"
printf 'inline constexpr std::string_view %sSha1 = "%s";\n' "$name" "$(cat "$@" | sha1sum | cut -c1-40)"
printf 'inline constexpr char %sBytes[] = {\n' "$name"
cat "$@" | od -An -v -tu1 | sed 's/  *\([0-9][0-9]*\)/ char(\1),/g'
printf '};\ninline constexpr std::string_view %s(%sBytes, sizeof %sBytes);\n\n}  // namespace heartbeat\n' "$name" "$name" "$name"
