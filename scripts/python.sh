# shellcheck shell=bash
# The Python of the tests that speak to the service with tools from PyPI; sourced by ./test, after services.sh.
#
#   python_up DIR    makes DIR/python-… with what tests/python/requirements.txt pins, once, and exports SAFIRE_PYTHON

python_requirements=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../tests/python" && pwd)/requirements.txt

python_up() {
  local venv log
  [[ -z ${SAFIRE_PYTHON:-} ]] || return 0
  python_can_make_one || services_install python3 python3-venv
  venv=$1/python-$( (cat -- "$python_requirements" && python3 --version) | sha256sum | cut -c 1-16)
  log=$venv.log
  mkdir -p -- "$1"
  (
    flock 9 # two test runs at once make one
    [[ ! -e $venv/complete ]] || exit 0
    services_say "python: installing tests/python/requirements.txt"
    rm -rf -- "$venv"
    python3 -m venv "$venv" && "$venv/bin/pip" install --requirement "$python_requirements" && touch "$venv/complete"
  ) 9>"$venv.lock" >"$log" || {
    tail -n 20 -- "$log" >&2
    services_fail "tests/python/requirements.txt cannot be installed. Set SAFIRE_PYTHON to an interpreter that has it"
  }
  export SAFIRE_PYTHON=$venv/bin/python
}

# Debian's python3 comes without ensurepip.
python_can_make_one() { python3 -c 'import ensurepip, venv' 2>/dev/null; }
