# The service in a small image: no shell, no package manager, nobody's root.

FROM rust:1.95.0-slim-bookworm AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Compilers and make, for SQLite, TLS and the Kafka client, which are built from source.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ make perl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src

# Dependencies in a layer of their own: only manifests and the lock file decide whether they are built again.
COPY Cargo.toml Cargo.lock ./
COPY engine/Cargo.toml engine/
COPY domain/Cargo.toml domain/
COPY store/Cargo.toml store/
COPY metrics/Cargo.toml metrics/
COPY actors/Cargo.toml actors/
COPY web/Cargo.toml web/
COPY tests/models/Cargo.toml tests/models/
COPY tests/support/Cargo.toml tests/support/
RUN for crate in . engine domain store metrics actors web tests/models tests/support; do \
        mkdir -p "$crate/src" && touch "$crate/src/lib.rs"; \
    done \
    && mkdir -p benches tests/service tests/chaos \
    && echo 'fn main() {}' | tee src/main.rs benches/{database,http,imports,process}.rs tests/{service,chaos}/main.rs >/dev/null \
    && cargo build --profile dist --locked --bin safire \
    && find . -path ./target -prune -o -name '*.rs' -exec rm {} +

COPY . .
# What was built from the empty sources is older than the real ones, whatever their times say.
RUN find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
    && cargo build --profile dist --locked --bin safire \
    && mkdir -p /data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/dist/safire /usr/local/bin/safire
# A volume that is made here belongs to the user that writes to it.
COPY --from=build --chown=65532:65532 /data /var/lib/safire
ENV SAFIRE_DATA_DIR=/var/lib/safire \
    SAFIRE_HTTP__HOST=0.0.0.0 \
    SAFIRE_METRICS__HOST=0.0.0.0
VOLUME /var/lib/safire
EXPOSE 8000 8001
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=30s --retries=3 CMD ["/usr/local/bin/safire", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/safire"]
