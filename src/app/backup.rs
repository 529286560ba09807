//! A consistent copy of an embedded database and its media in one tar file, and the way back. The master key
//! is never in it.

use std::fs::{File, OpenOptions, Permissions};
use std::io::BufWriter;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};

use super::{database_url, lock, make_data_dir};
use crate::config::Config;
use crate::store::db::backup_sqlite;
use crate::store::{DbUrl, migrate};

/// Name of the database in the archive.
const DATABASE: &str = "wabridge.db";
/// Folder of the media in the archive.
const MEDIA: &str = "media";

/// `wabridge backup FILE`; works while the bridge runs.
pub async fn backup(config: &Config, file: &Path) -> anyhow::Result<()> {
    let source = embedded(config)?;
    if !source.exists() {
        bail!("there is no database at {}", source.display());
    }
    let (media, file) = (config.data_dir.join(MEDIA), file.to_owned());
    tokio::task::spawn_blocking(move || write_archive(&source, &media, &file)).await?
}

/// `wabridge restore FILE`; the bridge must not run, and no database may be in the way.
pub async fn restore(config: &Config, file: &Path) -> anyhow::Result<()> {
    let target = embedded(config)?;
    make_data_dir(&config.data_dir)?;
    let _lock = lock::acquire(&DbUrl::Sqlite(target.clone()), &config.data_dir).await?;
    if target.exists() {
        bail!("{} is there already; move it away first, it would be overwritten", target.display());
    }
    let (data_dir, file) = (config.data_dir.clone(), file.to_owned());
    tokio::task::spawn_blocking(move || read_archive(&file, &data_dir, &target)).await?
}

fn embedded(config: &Config) -> anyhow::Result<PathBuf> {
    match database_url(config) {
        DbUrl::Sqlite(path) => Ok(path),
        DbUrl::Postgres(_) => {
            bail!("the database is PostgreSQL: use pg_dump and pg_restore, and copy data_dir/media")
        }
    }
}

fn write_archive(source: &Path, media: &Path, file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let work = tempfile::tempdir_in(folder)
        .with_context(|| format!("nothing can be written in {}", folder.display()))?;
    // The database first: a file that comes later is only a file too many, never one that is missing.
    let copy = work.path().join(DATABASE);
    backup_sqlite(source, &copy)?;
    let unfinished = work.path().join("archive");
    let mut archive = tar::Builder::new(BufWriter::new(for_us_alone().open(&unfinished)?));
    archive.mode(tar::HeaderMode::Deterministic);
    archive.append_path_with_name(&copy, DATABASE)?;
    for path in files_below(media)? {
        let name = Path::new(MEDIA).join(path.strip_prefix(media)?);
        match archive.append_path_with_name(&path, name) {
            // Removed by its age meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            outcome => outcome?,
        }
    }
    let written = archive.into_inner()?.into_inner().context("the archive could not be written")?;
    written.sync_all()?;
    std::fs::rename(&unfinished, file).with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(())
}

fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            // What is still being written is of no use to anybody.
            if kind.is_dir() && entry.file_name() != "incoming" {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

fn read_archive(file: &Path, data_dir: &Path, target: &Path) -> anyhow::Result<()> {
    let opened = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let mut archive = tar::Archive::new(opened);
    let work = tempfile::tempdir_in(data_dir)?;
    for entry in archive.entries().context("this is not a backup of wabridge")? {
        let mut entry = entry.context("the archive is damaged")?;
        let path = entry.path()?.into_owned();
        let kind = entry.header().entry_type();
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain
            || !(kind.is_file() || kind.is_dir())
            || !(path == Path::new(DATABASE) || path.starts_with(MEDIA))
        {
            bail!("{} does not belong into a backup of wabridge", path.display());
        }
        entry.unpack_in(work.path()).context("the archive is damaged")?;
    }
    let database = work.path().join(DATABASE);
    if !database.exists() {
        bail!("{} holds no database: it is not a backup of wabridge", file.display());
    }
    // A backup of a newer version is refused before anything is moved.
    migrate::migrate(&DbUrl::Sqlite(database.clone()))?;
    for path in files_below(&work.path().join(MEDIA))? {
        let place = data_dir.join(MEDIA).join(path.strip_prefix(work.path().join(MEDIA))?);
        if let Some(folder) = place.parent() {
            make_data_dir(folder)?;
        }
        std::fs::rename(&path, &place)?;
    }
    for leftover in ["-wal", "-shm"] {
        let mut name = database.clone().into_os_string();
        name.push(leftover);
        if Path::new(&name).exists() {
            checkpoint(&database)?;
        }
    }
    // As it was made first, whatever the archive says.
    std::fs::set_permissions(&database, Permissions::from_mode(0o600))?;
    std::fs::rename(&database, target)?;
    Ok(())
}

/// A new file that nobody else may read: conversations are in it.
fn for_us_alone() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
}

/// Puts everything into the one file that is moved.
fn checkpoint(database: &Path) -> anyhow::Result<()> {
    let whole = database.with_extension("whole");
    backup_sqlite(database, &whole)?;
    std::fs::rename(whole, database)?;
    Ok(())
}
