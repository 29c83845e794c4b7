#!/usr/bin/env bash
# Makes the secrets of docker-compose.yml in secrets/, each once. What is there already stays as it is.
set -euo pipefail

directory=${1:-$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)/secrets}
mkdir -p -- "$directory"
chmod 700 -- "$directory"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# Containers read them as users of their own; the directory keeps others out.
secret() {
  [[ -e $directory/$1 ]] || printf '%s' "$2" >"$directory/$1"
  chmod 644 -- "$directory/$1"
}

secret postgres_password "$(random)"
secret redis_password "$(random)"
secret jwt_secret "$(random)"
secret admin_password "$(random)"
secret grafana_password "$(random)"
secret database_url "postgres://safire:$(cat -- "$directory/postgres_password")@postgres:5432/safire"
secret redis_url "redis://:$(cat -- "$directory/redis_password")@redis:6379/0"
printf 'secrets are in %s\n' "$directory"
