//! `otc-im token`: a JWT signed with the key that `otc-im dev` keeps beside its data.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use secrecy::SecretString;

use super::ConfigFile;
use super::output::say;
use crate::app::StartError;
use crate::config::{Auth, AuthMode, ConfigError};
use crate::infra::clock::System;
use crate::infra::jwt::{MIN_SECRET_BYTES, mint};
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
    /// For how many hours it holds, at most ten years
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=87_600))]
    hours: u32,
    /// Where `otc-im dev` keeps its data
    #[arg(long, value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,
    #[command(flatten)]
    file: ConfigFile,
}

impl Token {
    /// Prints the bare token, if `otc-im dev` takes it under the same configuration.
    pub fn run(self) -> Result<bool, StartError> {
        let auth = self.file.read()?.auth;
        if let Some((key, what)) = own_keys(&auth) {
            let why = format!("{key} is set: {what}; this command signs with the dev key alone");
            return Err(ConfigError(why).into());
        }
        let path = self.data_dir.join(KEY_FILE);
        let signer = Signer { key: read_key(&path)?, auth };
        say(signer.token(&self.subject, &self.scope, self.hours)?)?;
        Ok(true)
    }
}

/// The setting by which a service does not take what the dev key signs, and what to do about a token then.
pub fn own_keys(auth: &Auth) -> Option<(&'static str, &'static str)> {
    let theirs = "only the owner of its key can sign tokens";
    match auth {
        Auth { mode: AuthMode::None, .. } => Some(("auth.mode = \"none\"", "no token is looked at")),
        Auth { jwks_url: Some(_), .. } => Some(("auth.jwks_url", theirs)),
        Auth { public_key_file: Some(_), .. } => Some(("auth.public_key_file", theirs)),
        Auth { hs256_secret: Some(_), .. } => Some(("auth.hs256_secret", "it signs all tokens")),
        _ => None,
    }
}

/// Signs tokens that a service with these settings takes.
pub struct Signer {
    /// The secret of HS256.
    pub key: SecretString,
    /// Says what `iss` and `aud` have to be.
    pub auth: Auth,
}

impl Signer {
    /// A token for `subject` that holds for so many hours.
    pub fn token(&self, subject: &str, scope: &str, hours: u32) -> Result<String, StartError> {
        let expires_at = System.now().0.unsigned_abs() / 1000 + u64::from(hours) * 3600;
        mint(
            &self.key,
            subject,
            scope,
            expires_at,
            self.auth.issuer.as_deref(),
            self.auth.audience.as_deref(),
        )
        .map_err(|e| ConfigError(format!("the token cannot be made: {e}")).into())
    }
}

/// The key in `data_dir`, made and kept there if there is none.
pub fn dev_key(data_dir: &Path) -> Result<SecretString, StartError> {
    let path = data_dir.join(KEY_FILE);
    let unusable = |e: io::Error| StartError::Store(format!("{} cannot be used: {e}", path.display()));
    fs::create_dir_all(data_dir).map_err(unusable)?;
    if !path.exists() {
        // Whoever is stopped in the middle leaves no half of a key.
        let draft = data_dir.join(format!("{KEY_FILE}.{}", System.fresh()));
        let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let key = format!("{}{}", System.fresh(), System.fresh());
        made.and_then(|mut file| file.write_all(key.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&draft, &path))
            .map_err(unusable)?;
    }
    Ok(read_key(&path)?)
}

/// The key in this file.
fn read_key(path: &Path) -> Result<SecretString, ConfigError> {
    let shown = path.display();
    let key = fs::read_to_string(path).map_err(|e| {
        ConfigError(format!("there is no dev key at {shown}: {e}; run `otc-im dev` there once"))
    })?;
    match key.trim() {
        key if key.len() < MIN_SECRET_BYTES => Err(ConfigError(format!(
            "{shown} holds no whole key: delete it, and `otc-im dev` makes a new one"
        ))),
        key => Ok(key.into()),
    }
}
