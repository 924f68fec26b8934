//! One process at a time serves from an embedded database: a lock on a file beside it.
//!
//! The view in memory and the accounts' cache are each process's own, so a second process would answer counts that are
//! behind. The kernel lets go of the lock when the process ends, however it ends. One-shot commands do not ask for it:
//! what they write, the running service reads.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::sqlite::SqliteConnectOptions;

use super::StartError;
use crate::config::Config;

/// The locks of this process's embedded databases, until it is dropped.
#[derive(Debug)]
pub struct DataLock(#[expect(dead_code, reason = "held open: closing the files is what lets go")] Vec<File>);

impl DataLock {
    /// Takes the lock of each embedded database that `config` names; fails if another process has one.
    pub fn take(config: &Config) -> Result<Self, StartError> {
        let files: BTreeSet<PathBuf> = [&config.accounts.url, &config.messages.url]
            .into_iter()
            .filter_map(|url| lock_file(url))
            .collect();
        files.iter().map(|path| lock(path)).collect::<Result<_, _>>().map(Self)
    }
}

/// The file beside the database; `None` for what is no database in a file.
fn lock_file(url: &str) -> Option<PathBuf> {
    if !url.starts_with("sqlite:") || url.contains(":memory:") || url.contains("mode=memory") {
        return None;
    }
    // A URL that cannot be read is told of by whoever opens it.
    let mut path = SqliteConnectOptions::from_str(url).ok()?.get_filename().as_os_str().to_owned();
    path.push(".lock");
    Some(path.into())
}

fn lock(path: &Path) -> Result<File, StartError> {
    let failed = |why: String| StartError::Store(format!("cannot lock {}: {why}", path.display()));
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let file = folder
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| File::options().create(true).append(true).open(path))
        .map_err(|e| failed(format!("{e}; the folder must be one that this process may write to")))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(failed(
            "another otc-im serves from this database; stop that one first, or give this one a database of its own"
                .to_owned(),
        )),
        Err(TryLockError::Error(error)) => Err(failed(error.to_string())),
    }
}
