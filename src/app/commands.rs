//! Commands that work beside a running bridge.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, bail};

use super::{database_url, make_data_dir};
use crate::access::{self, NewToken, Role};
use crate::cli::{AsteriskOptions, TokenCommand};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::{Db, migrate};

/// Prints what a command was asked for; nothing else ever goes to stdout.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// `wabridge openapi`
pub fn openapi() -> anyhow::Result<()> {
    print(&crate::http::openapi_json())
}

/// `wabridge asterisk-config`
pub fn asterisk_config(config: &Config, options: &AsteriskOptions) -> anyhow::Result<()> {
    print(&super::asterisk::files(&config.sip, options)?)
}

/// `wabridge token …`
pub async fn token(config: &Config, command: TokenCommand) -> anyhow::Result<()> {
    let (db, writer) = open(config).await?;
    let outcome = match command {
        TokenCommand::Create { name, role, expires } => {
            let role = Role::parse(role.as_str()).context("the role is not known")?;
            let new = NewToken { name, role, expires_days: expires };
            match access::create(&db, &Clock::System, new).await {
                Ok(token) => print(token.expose()),
                Err(error) => Err(error.into()),
            }
        }
        TokenCommand::List => list(&db).await,
        TokenCommand::Revoke { name } => match access::revoke(&db, &name).await? {
            true => Ok(()),
            false => Err(anyhow::anyhow!("there is no token named {name}")),
        },
    };
    tokio::task::spawn_blocking(move || writer.close()).await?;
    outcome
}

/// `wabridge admin invite`
pub async fn admin_invite(config: &Config) -> anyhow::Result<()> {
    let (db, writer) = open(config).await?;
    let invited = access::invite(&db, &Clock::System, Role::Admin, None).await;
    tokio::task::spawn_blocking(move || writer.close()).await?;
    let mut link = config.public_url.clone();
    link.set_path(&format!("/admin/login/{}", invited?.expose()));
    print(link.as_str())
}

async fn list(db: &Db) -> anyhow::Result<()> {
    let mut text = String::from("NAME\tROLE\tCREATED\tEXPIRES\n");
    for row in access::list(db).await? {
        let expires =
            row.expires_at.map_or("never".to_owned(), |at| at.format("%Y-%m-%d %H:%M UTC").to_string());
        let created = row.created_at.format("%Y-%m-%d %H:%M UTC");
        text.push_str(&format!("{}\t{}\t{created}\t{expires}\n", row.name, row.role));
    }
    print(&text)
}

/// The database beside a running bridge: its schema is made if there is none yet, never changed under one.
pub(super) async fn open(config: &Config) -> anyhow::Result<(Db, crate::store::db::WriterThread)> {
    make_data_dir(&config.data_dir)?;
    let url = database_url(config);
    let looked = url.clone();
    let current = tokio::task::spawn_blocking(move || -> anyhow::Result<bool> {
        let mut conn = looked.open()?;
        if migrate::is_empty(&mut conn)? {
            migrate::migrate(&looked)?;
        }
        Ok(migrate::is_current(&mut conn)?)
    })
    .await??;
    if !current {
        bail!(
            "the database is of another version of wabridge; use that version, or start `wabridge serve` of this one once"
        );
    }
    Ok(Db::start(url, Arc::new(|_, _| {}))?)
}
