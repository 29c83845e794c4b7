# shellcheck shell=bash
# Throw-away PostgreSQL and Redis for one command; sourced by ./test. Prometheus, sqlite3, curl and jq, which tests
# use themselves, are installed.
#
#   services_up           starts what DATABASE_URL and REDIS_URL do not name, and exports both
#   services_run CMD...   runs a command; a signal to this script ends it and everything it started
#   services_down         stops exactly what services_up started, by process id, and removes its files

services_dir=     # private data and logs; empty while nothing was started
services_pids=()  # the servers, in the order they were started
services_child=   # the command that services_run is waiting for
services_owner=() # prefix that runs a server as an unprivileged user: initdb refuses root

services_say() { printf '%s\n' "$*" >&2; }
services_fail() {
  services_say "services: $*"
  exit 1
}

services_up() {
  local missing=()
  [[ -n ${DATABASE_URL:-} ]] || services_postgres_bin >/dev/null || missing+=(postgresql)
  [[ -n ${REDIS_URL:-} ]] || command -v redis-server >/dev/null || missing+=(redis-server)
  command -v promtool >/dev/null && command -v prometheus >/dev/null || missing+=(prometheus)
  command -v sqlite3 >/dev/null || missing+=(sqlite3)
  command -v curl >/dev/null || missing+=(curl)
  command -v jq >/dev/null || missing+=(jq)
  ((${#missing[@]} == 0)) || services_install "${missing[@]}"

  [[ -n ${DATABASE_URL:-} && -n ${REDIS_URL:-} ]] && return
  services_make_dir
  [[ -n ${DATABASE_URL:-} ]] || services_start_postgres
  [[ -n ${REDIS_URL:-} ]] || services_start_redis
}

services_down() {
  local pid
  trap '' INT TERM HUP # a second Ctrl-C must not leave half of it behind
  for pid in "${services_pids[@]}"; do services_stop "$pid"; done
  services_pids=()
  [[ -z $services_dir ]] || rm -rf -- "$services_dir"
  services_dir=
}

# The directory of the newest server that is installed. Debian keeps it off PATH.
services_postgres_bin() {
  local found
  found=$(command -v initdb) || found=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)
  found=$(dirname -- "$(readlink -f -- "$found")")
  [[ -x $found/initdb && -x $found/postgres ]] && printf '%s\n' "$found"
}

# Installs packages without letting them start a system service: the tests run their own.
services_install() {
  local as_root=() wanted="apt-get install $*"
  command -v apt-get >/dev/null || services_fail "missing: $*, and there is no apt-get. Install them, or set DATABASE_URL and REDIS_URL"
  if [[ $(id -u) != 0 ]]; then
    command -v sudo >/dev/null || services_fail "missing: $*. As root, run: $wanted"
    as_root=(sudo)
    [[ -t 0 ]] || as_root+=(-n) # nobody is there to type a password
  fi
  services_say "services: $wanted"
  # shellcheck disable=SC2016 # expanded by the inner shell
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive bash -euc '
    policy=/usr/sbin/policy-rc.d
    if [[ ! -e $policy ]]; then
      trap "rm -f $policy" EXIT
      printf "#!/bin/sh\nexit 101\n" >"$policy"
      chmod 755 "$policy"
    fi
    apt-get -q update
    apt-get -q -o Dpkg::Use-Pty=0 install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
  ' bash "$@" >&2 </dev/null || services_fail "could not install $*. As root, run: $wanted"
  hash -r
}

# A directory that the owner of the servers can reach, whatever TMPDIR is.
services_make_dir() {
  local base user=postgres
  if [[ $(id -u) == 0 ]]; then
    id -u "$user" >/dev/null 2>&1 || user=nobody
    services_owner=(setpriv --reuid "$(id -u "$user")" --regid "$(id -g "$user")" --clear-groups)
  fi
  for base in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
    services_dir=$(mktemp -d -- "$base/safire-services.XXXXXX") || continue
    ((${#services_owner[@]} == 0)) || chown "$(id -u "$user"):$(id -g "$user")" "$services_dir"
    "${services_owner[@]}" test -w "$services_dir" && return
    rm -rf -- "$services_dir"
    services_dir=
  done
  services_fail "no temporary directory that ${services_owner[*]:-this user} can write to"
}

services_start_postgres() {
  local bin data=$services_dir/postgres log=$services_dir/postgres.log port
  bin=$(services_postgres_bin) || services_fail "initdb is still missing: install postgresql"
  (cd -- "$services_dir" && "${services_owner[@]}" "$bin/initdb" -D "$data" -U safire -A trust -E UTF8 --locale=C --no-sync) \
    >"$log" 2>&1 || services_give_up initdb "$log"
  for _ in {1..20}; do
    port=$(services_guess_port)
    services_spawn "$log" "$bin/postgres" -D "$data" -p "$port" \
      -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300 \
      -c fsync=off -c synchronous_commit=off -c full_page_writes=off
    if services_await services_postgres_is_ready "$data"; then
      export DATABASE_URL=postgres://safire@127.0.0.1:$port/postgres
      services_say "services: $DATABASE_URL"
      return
    fi
  done
  services_give_up postgres "$log"
}

# Its own word, in its own directory: another server may answer on a port that was just taken.
services_postgres_is_ready() { [[ $(sed -n 8p "$1/postmaster.pid" 2>/dev/null) == ready* ]]; }

services_start_redis() {
  local log=$services_dir/redis.log port
  for _ in {1..20}; do
    port=$(services_guess_port)
    services_spawn "$log" redis-server --bind 127.0.0.1 --port "$port" --dir "$services_dir" --save '' --appendonly no
    if services_await grep -qs 'Ready to accept connections' "$log"; then
      export REDIS_URL=redis://127.0.0.1:$port
      services_say "services: $REDIS_URL"
      return
    fi
  done
  services_give_up redis-server "$log"
}

# A port below the kernel's ephemeral range. If it is taken, the server says so and the next guess is tried.
services_guess_port() { printf '%s\n' $((20000 + RANDOM % 12000)); }

# In a session of its own, so that Ctrl-C reaches the command first; it ends with this script even on kill -9.
services_spawn() {
  local log=$1
  shift
  (cd -- "$services_dir" && exec setsid "${services_owner[@]:-setpriv}" --pdeathsig INT -- "$@") >"$log" 2>&1 </dev/null &
  services_pids+=($!)
}

# Waits for the newest server; false (and forgotten) when it has ended or does not come up within 30 s.
services_await() {
  local pid=${services_pids[-1]} deadline=$((SECONDS + 30))
  until "$@"; do
    if ! kill -0 "$pid" 2>/dev/null || ((SECONDS >= deadline)); then
      services_stop "$pid"
      unset 'services_pids[-1]'
      return 1
    fi
    sleep 0.05
  done
}

services_give_up() {
  cat -- "$2" >&2
  services_fail "$1 did not start; its log is above"
}

# INT is the fast shutdown of both servers, QUIT the immediate one.
services_stop() {
  local signal
  for signal in INT QUIT KILL; do
    kill -s "$signal" "$1" 2>/dev/null || return 0
    for _ in {1..200}; do
      kill -0 "$1" 2>/dev/null || return 0
      sleep 0.05
    done
  done
}

# In the background, because bash answers a signal only between commands or in wait. It keeps this script's standard
# input, and gets back the Ctrl-C that bash takes from background commands.
services_run() {
  local status
  env --default-signal=INT,QUIT -- "$@" <&0 &
  services_child=$!
  while :; do
    status=0
    wait "$services_child" || status=$?
    kill -0 "$services_child" 2>/dev/null || break
  done
  services_child=
  return "$status"
}

# For traps. At a terminal, Ctrl-C has reached the command already, and it may have its own use for it (psql).
services_interrupted() {
  [[ -n $services_child ]] || exit 130
  [[ -t 0 ]] || services_terminated INT 130
}

services_terminated() {
  local signal=$1 status=$2
  if [[ -n $services_child ]]; then
    services_signal_tree "$signal" "$services_child"
    for _ in {1..300}; do
      kill -0 "$services_child" 2>/dev/null || break
      sleep 0.05
    done
    services_signal_tree KILL "$services_child"
  fi
  exit "$status"
}

services_signal_tree() {
  local pids
  mapfile -t pids < <(services_tree "$2")
  kill -s "$1" "${pids[@]}" 2>/dev/null || true
}

services_tree() {
  local children child
  read -rd '' -a children < <(cat "/proc/$1/task/"*/children 2>/dev/null) || true
  printf '%s\n' "$1"
  for child in "${children[@]}"; do services_tree "$child"; done
}
