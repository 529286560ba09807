//! Use cases on messages.
