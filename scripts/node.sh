# shellcheck shell=bash
# The npm packages of the tests; sourced by ./test, after services.sh.
#
#   node_up DIR    makes DIR/node-… with what tests/node/package-lock.json pins, once, and exports SAFIRE_NODE_MODULES

node_packages=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../tests/node" && pwd)

node_up() {
  local place log
  [[ -z ${SAFIRE_NODE_MODULES:-} ]] || return 0
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then services_install nodejs npm; fi
  place=$1/node-$( (cat -- "$node_packages"/package*.json && node --version) | sha256sum | cut -c 1-16)
  log=$place.log
  mkdir -p -- "$1"
  (
    flock 9 # two test runs at once make one
    [[ ! -e $place/complete ]] || exit 0
    services_say "node: installing tests/node/package-lock.json"
    rm -rf -- "$place"
    mkdir -- "$place" && cp -- "$node_packages"/package*.json "$place" &&
      npm ci --prefix "$place" --ignore-scripts --no-audit --no-fund && touch "$place/complete"
  ) 9>"$place.lock" >"$log" || {
    tail -n 20 -- "$log" >&2
    services_fail "tests/node/package-lock.json cannot be installed. Set SAFIRE_NODE_MODULES to a directory that has it"
  }
  export SAFIRE_NODE_MODULES=$place/node_modules
}
