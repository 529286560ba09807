//! HTTP adapters: a handler extracts, calls one use case, answers.
