#!/usr/bin/env bash
# The long versions of the load tests, with the optimised program:
# 500 clients for 30 s, and a reload every 100 ms for 60 s.
set -euo pipefail
cd "$(dirname "$0")/../.."
export LOAD_CLIENTS="${LOAD_CLIENTS:-500}" LOAD_SECS="${LOAD_SECS:-30}" RELOAD_SECS="${RELOAD_SECS:-60}"
ulimit -n "$(ulimit -H -n)"
exec cargo test --release --package talosctl-oidc --test serve -- \
  --nocapture --test-threads 1 load:: lifecycle::s1_reload_under_load
