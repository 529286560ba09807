//! Brings the schema up to date, and refuses one that is newer than this binary.

use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::db::{Conn, DbUrl, StoreError, on_backend};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Runs what is missing.
pub fn migrate(url: &DbUrl) -> Result<(), StoreError> {
    let mut conn = url.open()?;
    on_backend!(&mut conn, |c| run(c))?;
    Ok(())
}

fn run<DB>(conn: &mut impl MigrationHarness<DB>) -> Result<(), StoreError>
where
    DB: diesel::backend::Backend,
    EmbeddedMigrations: diesel::migration::MigrationSource<DB>,
{
    let failed =
        |e: Box<dyn std::error::Error + Send + Sync>| StoreError::Unavailable(format!("migrations: {e}"));
    let ours = diesel::migration::MigrationSource::<DB>::migrations(&MIGRATIONS).map_err(failed)?;
    let known: Vec<String> = ours.iter().map(|m| m.name().version().to_string()).collect();
    let applied = conn.applied_migrations().map_err(failed)?;
    if let Some(newer) = applied.iter().find(|version| !known.contains(&version.to_string())) {
        return Err(StoreError::Unavailable(format!(
            "its schema ({newer}) is newer than this program; start the newer version of wabridge"
        )));
    }
    conn.run_pending_migrations(MIGRATIONS).map_err(failed)?;
    Ok(())
}

/// Whether the schema is there and known to this binary; for commands that work beside a running one.
pub fn is_current(conn: &mut Conn) -> Result<bool, StoreError> {
    let pending = on_backend!(conn, |c| c.has_pending_migration(MIGRATIONS))
        .map_err(|e| StoreError::Unavailable(format!("migrations: {e}")))?;
    Ok(!pending)
}

/// Whether no migration was ever run: a database that nobody has served yet.
pub fn is_empty(conn: &mut Conn) -> Result<bool, StoreError> {
    let applied = on_backend!(conn, |c| c.applied_migrations())
        .map_err(|e| StoreError::Unavailable(format!("migrations: {e}")))?;
    Ok(applied.is_empty())
}
