//! Chats of contacts that wrote lately, in memory, so that a known contact costs no look-up.
//!
//! An entry is good for one generation. Whatever may take a chat away or give an id to another person (an
//! erasure, a changed number) begins a new generation, so that what was looked up before is not used after:
//! neither by a notification that is being written, nor by one that puts its finding here late.
//!
//! A chat that is here has no text held for it: what is held when the contact writes is released before the chat is
//! put here, and who holds a text forgets all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

/// The cache; clones are the same one.
#[derive(Clone, Debug)]
pub struct KnownChats {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    chats: Cache<String, Known>,
    generation: AtomicU64,
}

/// A chat as it was known in a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Our id of the chat.
    pub chat_id: String,
    /// Must be the present one when the chat is used.
    pub generation: u64,
}

impl KnownChats {
    /// An empty cache for so many chats.
    pub fn new(capacity: usize) -> Self {
        let inner = Inner { chats: Cache::new(capacity), generation: AtomicU64::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// The chat under this key.
    pub fn get(&self, key: &str) -> Option<Known> {
        self.inner.chats.get(key).filter(|known| self.is_current(known))
    }

    /// Whether nothing was forgotten since.
    pub fn is_current(&self, known: &Known) -> bool {
        known.generation == self.generation()
    }

    /// The present generation; to be asked before the chat is looked up in the database.
    pub fn generation(&self) -> u64 {
        self.inner.generation.load(Ordering::Acquire)
    }

    /// Remembers a chat that was looked up.
    pub fn put(&self, key: String, known: Known) {
        if self.is_current(&known) {
            self.inner.chats.insert(key, known);
        }
    }

    /// Forgets everything. Call it after the change is committed, or inside its transaction.
    pub fn forget_all(&self) {
        self.inner.generation.fetch_add(1, Ordering::AcqRel);
        self.inner.chats.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_up_before_something_was_forgotten_is_not_used_after() {
        let chats = KnownChats::new(10);
        let known = |generation| Known { chat_id: "c".into(), generation };
        let before = known(chats.generation());
        chats.put("a".into(), before.clone());
        assert_eq!(chats.get("a"), Some(before.clone()));
        chats.forget_all();
        assert_eq!(chats.get("a"), None);
        assert!(!chats.is_current(&before));
        chats.put("a".into(), before);
        assert_eq!(chats.get("a"), None);
        chats.put("a".into(), known(chats.generation()));
        assert!(chats.get("a").is_some());
    }
}
