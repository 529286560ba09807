//! Durable jobs: lanes, leases, retry policy, the worker's loop.
