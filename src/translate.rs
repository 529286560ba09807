//! Pure conversion between the two clouds.
