//! Shorthands.
