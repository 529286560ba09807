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
    let known = known::<DB>()?;
    let applied = conn.applied_migrations().map_err(failed)?;
    if let Some(newer) = applied.iter().find(|version| !known.contains(&version.to_string())) {
        return Err(StoreError::Unavailable(format!(
            "its schema ({newer}) is newer than this program; start the newer version of wabridge"
        )));
    }
    conn.run_pending_migrations(MIGRATIONS).map_err(failed)?;
    Ok(())
}

/// Whether the schema is there and of this very binary; for commands that work beside a running one.
pub fn is_current(conn: &mut Conn) -> Result<bool, StoreError> {
    on_backend!(conn, |c| is_of_this_version(c))
}

fn is_of_this_version<DB>(conn: &mut impl MigrationHarness<DB>) -> Result<bool, StoreError>
where
    DB: diesel::backend::Backend,
    EmbeddedMigrations: diesel::migration::MigrationSource<DB>,
{
    let applied = conn.applied_migrations().map_err(failed)?;
    let known = known::<DB>()?;
    let are_same = applied.iter().all(|version| known.contains(&version.to_string()));
    Ok(are_same && applied.len() == known.len())
}

/// The migrations that this binary knows.
fn known<DB>() -> Result<Vec<String>, StoreError>
where
    DB: diesel::backend::Backend,
    EmbeddedMigrations: diesel::migration::MigrationSource<DB>,
{
    let ours = diesel::migration::MigrationSource::<DB>::migrations(&MIGRATIONS).map_err(failed)?;
    Ok(ours.iter().map(|migration| migration.name().version().to_string()).collect())
}

#[expect(clippy::needless_pass_by_value, reason = "it maps an error")]
fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::Unavailable(format!("migrations: {error}"))
}

/// Whether no migration was ever run: a database that nobody has served yet.
pub fn is_empty(conn: &mut Conn) -> Result<bool, StoreError> {
    let applied = on_backend!(conn, |c| c.applied_migrations())
        .map_err(|e| StoreError::Unavailable(format!("migrations: {e}")))?;
    Ok(applied.is_empty())
}
