//! TLS configurations from certificate files.
