#!/usr/bin/env bash
# missing.sh LOG...: names Debian's packages that have what a build did not find, by what compilers, linkers, shells and autoconf say of it. Asks
# apt-file, which it installs: for a Debian that is thrown away afterwards.
set -euo pipefail

# What they say, and the path, as a regular expression, of the file that they miss.
patterns=(
  's/.*[: ]([A-Za-z0-9_.+-]+): (command )?not found.*/s?bin\/\1$/p'
  's/.*linker .cc. not found.*/bin\/gcc$/p'
  's/.*failed to find tool "([A-Za-z0-9_.+-]+)".*/bin\/\1$/Ip'
  's/.*exec: "([A-Za-z0-9_.+-]+)": executable file not found.*/s?bin\/\1$/p'
  's/.*fatal error: (.+\.h): No such file.*/\1$/p'
  "s/.*fatal error: '(.+\.h)' file not found.*/\1$/p"
  's/.*cannot find -l([A-Za-z0-9_.+-]+).*/lib\1\\.(a|so)$/p'
  "s/.*(No package|Package) '([A-Za-z0-9_.+-]+)'.*/pkgconfig\/\2\\\\.pc$/p"
)
script=$(printf '%s\n' "${patterns[@]}")
paths=$(sed -nE "$script" "$@" | sort -u)
macros=$(sed -nE 's/.*undefined macro: ([A-Za-z0-9_]+).*/\1/p' "$@" | sort -u)
[ -n "$paths$macros" ] || exit 0

{
  apt-get install -qq -y --no-install-recommends apt-file
  apt-file update
} >/dev/null 2>&1

packages_with() { apt-file search --package-only --regexp "$1" || [ $? = 1 ]; }

for path in $paths; do
  packages=$(packages_with "/$path")
  name=${path##*/}
  echo "${name//[\\$]/} was not found: it is in ${packages//$'\n'/, }"
done
# No index has macros. Those of autoconf are in packages that one of the installed recommends.
recommended=$(dpkg-query --show --showformat '${Recommends}\n' | sed 's/[,|]/\n/g' | awk 'NF { print $1 }' | sort -u)
with_macros=$(packages_with '/aclocal/.*\.m4$')
with_macros=$(grep -xF "$recommended" <<<"$with_macros" || :)
for macro in $macros; do
  echo "autoconf's macro $macro was not found: it may be in one of ${with_macros//$'\n'/, }"
done
