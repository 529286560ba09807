//! Media files: on disk, typed by content, fetched with care, served by unguessable links.
