//! A database of its own for each test: a file, or a database on the PostgreSQL that the environment names.

use std::path::{Path, PathBuf};

use diesel::prelude::*;
use wabridge::config::DatabaseUrl;
use wabridge::domain::Secret;

/// Removed when the test ends.
pub struct TestDatabase {
    path: PathBuf,
    postgres: Option<(String, String)>,
}

impl TestDatabase {
    /// The embedded one, whatever the environment says.
    pub fn embedded(folder: &Path) -> Self {
        Self { path: folder.join("wabridge.db"), postgres: None }
    }

    pub async fn create(folder: &Path) -> Self {
        let path = folder.join("wabridge.db");
        let Ok(server) = std::env::var("WABRIDGE_TEST_DATABASE_URL") else {
            return Self::embedded(folder);
        };
        let name = format!("t_{}", wabridge::clock::new_id());
        let create = format!("CREATE DATABASE {name}");
        let on = server.clone();
        tokio::task::spawn_blocking(move || execute(&on, &create)).await.unwrap();
        Self { path, postgres: Some((server, name)) }
    }

    pub fn url(&self) -> DatabaseUrl {
        match &self.postgres {
            None => DatabaseUrl::Sqlite(self.path.clone()),
            Some((server, name)) => {
                let mut url: url::Url = server.parse().unwrap();
                url.set_path(name);
                DatabaseUrl::Postgres(Secret::from(url.as_str()))
            }
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some((server, name)) = self.postgres.take() {
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            let _ = std::thread::spawn(move || execute(&server, &drop)).join();
        }
    }
}

fn execute(server: &str, sql: &str) {
    let mut conn = PgConnection::establish(server).expect("the PostgreSQL of the tests answers");
    diesel::sql_query(sql).execute(&mut conn).expect(sql);
}
