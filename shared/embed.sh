#!/bin/sh
# Turns the files that are not C++ into a header: embed.sh NAME FILE > HEADER. The SHA-1 is how Redis names a script.
set -eu
name=$1 file=$2
printf '// Made from %s.\n#pragma once\n\n#include <string_view>\n\nnamespace heartbeat {\n\n' "$(basename "$file")"
printf 'inline constexpr std::string_view %sSha1 = "%s";\n' "$name" "$(sha1sum "$file" | cut -c1-40)"
printf 'inline constexpr char %sBytes[] = {\n' "$name"
od -An -v -tu1 "$file" | sed 's/  *\([0-9][0-9]*\)/ char(\1),/g'
printf '};\ninline constexpr std::string_view %s(%sBytes, sizeof %sBytes);\n\n}  // namespace heartbeat\n' "$name" "$name" "$name"
