//! The effective configuration; the only reader of the environment.
