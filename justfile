# Shortcuts; each is one command that also works without just.

# Show what there is.
default:
    @just --list

# Try the bridge against simulated clouds; prints the address to open.
sandbox port="8080":
    cargo run -- sandbox --port {{port}}

# Every check and test, on both databases (installs what the machine lacks).
test:
    ./scripts/test

# The quick round while writing: the unit tests of one module.
unit module="":
    cargo test --lib {{module}}

# Formatting and lints as the tests want them.
lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# Intake and relay, measured.
bench:
    cargo bench --bench intake

# Development certificates in certs/.
certs:
    ./scripts/dev-certs

# The API reference, and the settings reference.
openapi:
    cargo run --quiet -- openapi
settings:
    cargo run --quiet -- config --defaults
