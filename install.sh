#!/bin/sh
# Makes a virtual environment and installs into it; run it again and it changes only what differs.
#   sh install.sh                                            the application in .venv, at the locked versions
#   sh install.sh .venv -c constraints.txt -e '.[dev]'       the application and the tools to work on it
#   sh install.sh VENV PIP-ARGUMENTS...                      anything else
# Uses uv, several times faster than pip and half the disk; pip where uv fails. PYTHON names another interpreter.
set -eu
cd "$(dirname "$0")"
venv=${1:-.venv}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- -c constraints.txt -e .
python=${PYTHON:-python3}

fail() { echo "install.sh: $1" >&2; exit 1; }

command -v "$python" >/dev/null 2>&1 || fail "no $python; on Debian or Ubuntu: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$("$python" -V) is too old; set PYTHON to 3.11 or newer"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python cannot make environments; on Debian or Ubuntu: apt-get install python3-venv"

"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear "$venv"
pip="$venv/bin/python -m pip --disable-pip-version-check"

# uv reads none of pip's settings. Without find-links it would miss a local CPU wheel of torch and fetch gigabytes of CUDA.
links=${PIP_FIND_LINKS:-$($pip config list 2>/dev/null | sed -n "s/^[^=]*find-links='\(.*\)'$/\1/p" | head -n 1)}
links=$(printf %s "$links" | sed 's/\\n/ /g' | tr -s ' \n' ',,')

if { [ -x "$venv/bin/uv" ] || $pip install -qq --no-compile -c constraints.txt uv; } 2>/dev/null &&
    UV_FIND_LINKS=${UV_FIND_LINKS:-$links} "$venv/bin/uv" pip install -q --compile-bytecode --python "$venv/bin/python" "$@"; then
    exit 0
fi
echo "install.sh: uv did not manage; installing with pip instead (slower)" >&2
$pip install -qq --no-compile "$@"
