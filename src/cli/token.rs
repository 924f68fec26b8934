//! `otc-im token`: a JWT signed with the key that `otc-im dev` keeps beside its data.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::output::say;
use crate::app::StartError;
use crate::config::ConfigError;
use crate::infra::clock::System;
use crate::infra::jwt::mint;
use crate::ports::clock::{Clock, Ids};

/// The file beside the data that holds the key.
const KEY_FILE: &str = "dev-key";

/// `otc-im token`
#[derive(Debug, Args)]
pub struct Token {
    /// The user for whom the token speaks
    subject: String,
    /// What else it may do, separated by spaces
    #[arg(long, value_name = "SCOPES", default_value = "notify")]
    scope: String,
    /// For how many hours it holds
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    hours: u32,
    /// Where `otc-im dev` keeps its data
    #[arg(long, value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,
}

impl Token {
    /// Prints the bare token.
    pub fn run(self) -> Result<bool, StartError> {
        let path = self.data_dir.join(KEY_FILE);
        let key = fs::read_to_string(&path).map_err(|e| {
            ConfigError(format!(
                "there is no dev key at {}: {e}; run `otc-im dev` there once",
                path.display()
            ))
        })?;
        say(sign(&key.trim().into(), &self.subject, &self.scope, self.hours)?)?;
        Ok(true)
    }
}

/// A token for `subject` that holds for so many hours.
pub fn sign(key: &SecretString, subject: &str, scope: &str, hours: u32) -> Result<String, StartError> {
    let expires_at = System.now().0.unsigned_abs() / 1000 + u64::from(hours) * 3600;
    mint(key, subject, scope, expires_at, None, None)
        .map_err(|e| ConfigError(format!("the token cannot be made: {e}")).into())
}

/// The key in `data_dir`, made and kept there if there is none.
pub fn dev_key(data_dir: &Path) -> Result<SecretString, StartError> {
    let path = data_dir.join(KEY_FILE);
    let unusable = |e: io::Error| StartError::Store(format!("{} cannot be used: {e}", path.display()));
    fs::create_dir_all(data_dir).map_err(unusable)?;
    let fresh: SecretString = format!("{}{}", System.fresh(), System.fresh()).into();
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => file.write_all(fresh.expose_secret().as_bytes()).map(|()| fresh).map_err(unusable),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::read_to_string(&path).map(|key| key.trim().into()).map_err(unusable)
        }
        Err(error) => Err(unusable(error)),
    }
}
