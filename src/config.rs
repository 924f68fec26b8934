//! The configuration: defaults < `otc-im.toml` < environment (`OTC_IM__SECTION__KEY`). Nothing else reads the
//! environment. `docs/configuration.md` describes every key.

mod validate;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::config::{Environment, File, FileFormat};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

/// The file that is read when none is named and this one is there.
pub const DEFAULT_FILE: &str = "otc-im.toml";

/// Why a configuration cannot be used. Each is one sentence that names the key and the way out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Everything that can be set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where we listen.
    pub http: Http,
    /// Account rows.
    pub accounts: AccountsStore,
    /// The message log.
    pub messages: MessagesStore,
    /// The unread view.
    pub unread: UnreadStore,
    /// NetEase IM.
    pub netease: Netease,
    /// System notices.
    pub notifications: Notifications,
    /// Who may call `/v1`.
    pub auth: Auth,
    /// Bounds of requests.
    pub limits: Limits,
    /// What is written where.
    pub log: Log,
}

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

section! {
    /// `[http]`
    Http {
        /// Address and port.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
    }
}

section! {
    /// `[accounts]`
    AccountsStore {
        /// `mysql://…` or `sqlite:…`
        url: String = "sqlite:data/otc-im.db".into(),
        /// Connections of the pool.
        max_connections: u32 = 16,
        /// Accounts, and as many friendships, that are kept in memory.
        cache_capacity: u64 = 100_000,
        /// How long they are kept: the longest that a changed token can go unnoticed here.
        #[serde(with = "humantime_serde")]
        cache_ttl: Duration = Duration::from_secs(30),
    }
}

section! {
    /// `[messages]`
    MessagesStore {
        /// `mongodb://…/database` or `sqlite:…`
        url: String = "sqlite:data/otc-im.db".into(),
        /// Connections of the pool.
        max_connections: u32 = 64,
        /// Message copies, and receipts, that are written at once.
        group: usize = 200,
        /// Messages that were read are deleted once they are this many days old. Not set: never.
        retention_days: Option<u32> = None,
    }
}

section! {
    /// `[unread]`
    UnreadStore {
        /// `memory:`, `redis://…`, `rediss://…`, `redis-cluster://a,b` or `rediss-cluster://a,b`
        url: String = "memory:".into(),
        /// Readers that the memory view remembers; the least used are forgotten first and loaded again when asked for.
        max_readers: u64 = 1_000_000,
        /// Readers that are loaded from the log at once.
        loads_at_once: usize = 16,
        /// Polls that are answered from the log at once while the view is out of reach; 0 answers them all 503.
        fallback_at_once: usize = 0,
        /// A reader loaded longer ago than this is compared with the log in the background.
        #[serde(with = "humantime_serde")]
        recheck_after: Duration = Duration::from_mins(10),
        /// Readers whose counts stay in this process until Redis says that they have changed; 0 keeps none. Only with
        /// a single Redis server.
        near_cache_readers: usize = 100_000,
        /// The longest that an answer from this process may be behind Redis, whatever fails.
        #[serde(with = "humantime_serde")]
        near_cache_staleness: Duration = Duration::from_millis(500),
        /// How far ahead of now a read receipt may lie before it is pulled back.
        #[serde(with = "humantime_serde")]
        receipt_allowance: Duration = Duration::from_mins(1),
    }
}

section! {
    /// `[netease]`
    Netease {
        /// Up to and with `/nimserver`.
        base_url: String = String::new(),
        /// Another address of the same NetEase, for when the first does not answer. Not set: there is none.
        backup_base_url: Option<String> = None,
        /// The application at NetEase.
        app_key: String = String::new(),
        /// Signs calls, and message copies.
        app_secret: SecretString = SecretString::default(),
        /// Secrets that message copies may still be signed with while one is replaced by another.
        #[serde(deserialize_with = "list")]
        previous_app_secrets: Vec<SecretString> = Vec::new(),
        /// Message copies signed longer ago, or further ahead, are refused. Not set: any age is taken.
        #[serde(with = "humantime_serde")]
        max_age: Option<Duration> = None,
        /// How long a connection may take to be made.
        #[serde(with = "humantime_serde")]
        connect_timeout: Duration = Duration::from_secs(2),
        /// How long one attempt of a call may take.
        #[serde(with = "humantime_serde")]
        timeout: Duration = Duration::from_secs(5),
        /// Attempts of one call.
        attempts: usize = 2,
        /// How many calls of one API NetEase takes in any second.
        calls_per_second: u32 = 100,
        /// How many calls of msg/sendBatchAttachMsg NetEase takes in any minute.
        batch_calls_per_minute: u32 = 120,
        /// Instances of this service that share these quotas.
        instances: u32 = 1,
        /// How long an attempt of a call that somebody waits for may wait for its turn in the quota.
        #[serde(with = "humantime_serde")]
        quota_wait: Duration = Duration::from_secs(3),
    }
}

section! {
    /// `[notifications]`
    Notifications {
        /// The user whose account sends what names no sender; registered when first needed.
        system_account: String = "otc-system".into(),
        /// Whether a notice whose outcome is not known is sent again, with its id inside. Else its state is `unknown`.
        resend_unknown: bool = false,
        /// How long the answer to an accepted notice waits for its delivery before it says `queued`.
        #[serde(with = "humantime_serde")]
        patience: Duration = Duration::from_secs(2),
        /// Deliveries that one instance has in hand at once.
        at_once: usize = 128,
        /// Attempts of one delivery that NetEase may have seen.
        attempts: u32 = 10,
        /// How long one is tried, however few its attempts.
        #[serde(with = "humantime_serde")]
        give_up_after: Duration = Duration::from_hours(24),
        /// How long an instance that has died keeps others from what it had in hand.
        #[serde(with = "humantime_serde")]
        lease: Duration = Duration::from_mins(1),
        /// Deliveries that may wait; beyond them notices are refused with 429.
        max_queued: u64 = 100_000,
        /// Notifications are forgotten this many days after they were accepted, once they are done.
        keep_days: u32 = 7,
    }
}

/// How callers prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// With a JWT.
    Jwt,
    /// Not at all.
    None,
}

section! {
    /// `[auth]`
    Auth {
        /// `jwt` or `none`.
        mode: AuthMode = AuthMode::Jwt,
        /// The shared secret of HS256, at least 32 bytes.
        hs256_secret: Option<SecretString> = None,
        /// A PEM file with an RSA (RS256) or P-256 (ES256) public key.
        public_key_file: Option<PathBuf> = None,
        /// Where the issuer publishes its keys.
        jwks_url: Option<String> = None,
        /// What `iss` has to be.
        issuer: Option<String> = None,
        /// What `aud` has to hold.
        audience: Option<String> = None,
        /// Something in front of this service checks callers, so `mode = "none"` may listen anywhere.
        behind_gateway: bool = false,
    }
}

section! {
    /// `[limits]`
    Limits {
        /// Users that one poll may ask about, at most 500.
        poll_users: usize = 500,
        /// Bytes of a message copy.
        webhook_body: usize = 1024 * 1024,
        /// Bytes of any other body.
        body: usize = 64 * 1024,
        /// How long any other body may take to arrive.
        #[serde(with = "humantime_serde")]
        body_timeout: Duration = Duration::from_secs(10),
        /// How long a message copy may take, its body included; NetEase gives up after 5 s.
        #[serde(with = "humantime_serde")]
        webhook_timeout: Duration = Duration::from_secs(4),
        /// Message copies under way at once; further ones are answered 503.
        webhooks_at_once: usize = 1024,
        /// Streams of counts that may be open at once.
        streams: usize = 10_000,
        /// Streams of one reader that may be open at once.
        streams_per_reader: usize = 20,
        /// How long a poll may take.
        #[serde(with = "humantime_serde")]
        poll_timeout: Duration = Duration::from_secs(3),
        /// How long a call that needs NetEase may take.
        #[serde(with = "humantime_serde")]
        netease_timeout: Duration = Duration::from_secs(15),
        /// How long requests under way may take to end once the service is told to stop.
        #[serde(with = "humantime_serde")]
        shutdown: Duration = Duration::from_secs(9),
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

section! {
    /// `[log]`
    Log {
        /// `pretty` or `json`.
        format: LogFormat = LogFormat::Pretty,
        /// Levels by module, such as `info,otc_im=debug`.
        filter: String = "info".into(),
    }
}

/// A list, or — as an environment variable has it — text with commas.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretString>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<SecretString>),
        Text(String),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::List(list) => list,
        Either::Text(text) => {
            text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(Into::into).collect()
        }
    })
}

/// A parser's words without the lines that it quotes: these may hold secrets.
fn one_line(error: &str) -> String {
    let quoted = |line: &&str| {
        let margin = line.split_once('|').map(|(margin, _)| margin);
        margin.is_some_and(|margin| margin.chars().all(|c| c == ' ' || c.is_ascii_digit()))
    };
    let lines = error.lines().filter(|line| !quoted(line)).map(str::trim);
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ")
}

impl Config {
    /// Reads the file, if one is named or [`DEFAULT_FILE`] is there, and the environment over it.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let file = match file {
            Some(path) if !path.is_file() => {
                return Err(ConfigError(format!("there is no configuration file at {}", path.display())));
            }
            Some(path) => File::from(path).format(FileFormat::Toml).required(true),
            None => File::new(DEFAULT_FILE, FileFormat::Toml).required(false),
        };
        let environment = Environment::with_prefix("OTC_IM").prefix_separator("__").separator("__");
        ::config::Config::builder()
            .add_source(file)
            .add_source(environment)
            .build()
            .and_then(::config::Config::try_deserialize)
            .map_err(|error| {
                ConfigError(format!("the configuration cannot be read: {}", one_line(&error.to_string())))
            })
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
