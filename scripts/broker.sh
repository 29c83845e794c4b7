# shellcheck shell=bash
# A broker that speaks Kafka's protocol, for the tests that want a server; sourced by ./test, after services.sh.
#
#   broker_up DIR    builds nisshi from the crate registry into DIR, once, and exports SAFIRE_NISSHI

broker_version=0.8.1

broker_up() {
  local root=$1/nisshi-$broker_version toolchain
  [[ -z ${SAFIRE_NISSHI:-} ]] || return 0
  mkdir -p -- "$1"
  (
    flock 9 # two test runs at once build one
    [[ ! -x $root/bin/nisshi ]] || exit 0
    toolchain=$(broker_toolchain) || services_fail "nisshi needs rustc 1.96: install a newer toolchain, or set SAFIRE_NISSHI"
    services_say "broker: building nisshi $broker_version, which takes some minutes"
    CARGO_PROFILE_DEV_DEBUG=0 cargo "$toolchain" install --quiet --debug --locked --root "$root" \
      "nisshi@$broker_version" --no-default-features --features dynostore >&2
  ) 9>"$root.lock"
  export SAFIRE_NISSHI=$root/bin/nisshi
}

# The first toolchain that is new enough.
broker_toolchain() {
  local toolchain minor
  for toolchain in +stable +nightly; do
    minor=$(cargo "$toolchain" --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')
    ((${minor:-0} < 96)) || { printf '%s\n' "$toolchain" && return; }
  done
  return 1
}
