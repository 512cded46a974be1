# What CI runs.
check:
    scripts/test

# Format everything.
fmt:
    cargo fmt --all

# The linter, as CI has it.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Licences, bans and sources of all dependencies (needs cargo-deny).
deny:
    cargo deny check licenses bans sources

# Accept changed snapshots after reading them.
snapshots:
    INSTA_UPDATE=always scripts/test

# Twenty histories of real processes under fire, about 40 minutes: just soak 100
soak seed="1":
    cargo build --quiet --workspace --all-targets
    target/debug/chaos --seed {{seed}} --rounds 20

# Replay one history of the simulation: just sim sqlite 42
sim database seed:
    LEASEHOLD_SIM_SEED={{seed}} LEASEHOLD_SIM_LOG=1 scripts/test -E 'binary(sim) and test({{database}}_1)' --no-capture

# Measure, beside other queues and bare statements; writes docs/benchmarks.md. About half an hour, the builds apart.
bench *parts:
    scripts/bench {{parts}}
