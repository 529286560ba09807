//! Use cases on the installation.
