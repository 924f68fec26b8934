//! The configuration: defaults < `otc-im.toml` < environment (`OTC_IM__SECTION__KEY`). Nothing else reads the
//! environment. `docs/configuration.md` describes every key.

mod addresses;
mod bounds;
mod section;
mod setting;
mod sources;
mod validate;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use toml::Table;

use bounds::{Any, AppKey, Filled, LogFilter, MsgType, Origin, Secret, User, hours, mins, ms, secs};
use section::{section, sections};

use crate::domain::ids::LetterCase;
use crate::ports::unread_view::MAX_PEERS;

/// In `http.cors_origins`: every page that this machine itself serves, on whatever port.
pub const LOOPBACK: &str = "loopback";

/// The file that is read when none is named and this one is there.
pub const DEFAULT_FILE: &str = "otc-im.toml";

/// Why a configuration cannot be used. Each is one sentence that names the key and the way out, and holds no value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

sections! {
    /// Everything that can be set.
    Config {
        /// Where we listen.
        http: Http,
        /// Account rows.
        accounts: AccountsStore,
        /// The message log.
        messages: MessagesStore,
        /// The unread view.
        unread: UnreadStore,
        /// NetEase IM.
        netease: Netease,
        /// System notices.
        notifications: Notifications,
        /// Who may call `/v1`.
        auth: Auth,
        /// Whom we trust.
        tls: Tls,
        /// Bounds of requests.
        limits: Limits,
        /// What is written where.
        log: Log,
    }
}

section! {
    /// `[http]`
    Http {
        /// Address and port.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)), within Any;
        /// Origins whose pages may call `/v1` from a browser; `loopback` for those of this machine.
        cors_origins: Vec<String> = Vec::new(), within Origin;
    }
}

section! {
    /// `[accounts]`
    AccountsStore {
        /// `mysql://…` or `sqlite:…`
        url: String = "sqlite:data/otc-im.db".into(), within addresses::ACCOUNTS;
        /// Whether letter case tells the site's user ids apart.
        case: LetterCase = LetterCase::Distinct, within Any;
        /// Users whom nobody may bind or chat with, beside the system account.
        reserved: Vec<String> = Vec::new(), within User;
        /// Connections of the pool.
        max_connections: u32 = 16, within 1..=1000;
        /// Accounts, and as many friendships, that are kept in memory.
        cache_capacity: u64 = 100_000, within 0..=10_000_000;
        /// How long they are kept: the longest that a changed token can go unnoticed here.
        cache_ttl: Duration = secs(30), within ms(100)..=hours(24);
    }
}

section! {
    /// `[messages]`
    MessagesStore {
        /// `mongodb://…/database` or `sqlite:…`
        url: String = "sqlite:data/otc-im.db".into(), within addresses::MESSAGES;
        /// Connections of the pool.
        max_connections: u32 = 64, within 1..=1000;
        /// Message copies, and receipts, that are written at once.
        group: usize = 200, within 1..=1000;
        /// Messages that were read are deleted once they are this many days old. Not set: never.
        retention_days: Option<u32> = None, within 1..=36_500;
        /// Dead letters are deleted once they are this many days old.
        dead_letters_days: u32 = 90, within 1..=3_650;
    }
}

section! {
    /// `[unread]`
    UnreadStore {
        /// `memory:`, `redis://…`, `redis+sentinel://a,b/master`, `redis-cluster://a,b`; `rediss…` for TLS
        url: String = "memory:".into(), within addresses::UNREAD;
        /// Readers that the memory view remembers; the least used are forgotten first and loaded again when asked for.
        max_readers: u64 = 1_000_000, within 1..=100_000_000;
        /// Readers that are loaded from the log at once.
        loads_at_once: usize = 16, within 1..=1000;
        /// Polls that are answered from the log at once while the view is out of reach; 0 answers them all 503.
        fallback_at_once: usize = 0, within 0..=10_000;
        /// A reader loaded longer ago than this is compared with the log in the background.
        recheck_after: Duration = mins(10), within secs(1)..=hours(24);
        /// Messages of one reader that the view counts and the log knows nothing of: more than so many are not removed,
        /// as then it is the log that is behind; `otc-im recount --force` removes them.
        remove_unknown: usize = 3, within 0..=1_000_000;
        /// Readers whose counts stay in this process until Redis says that they have changed; 0 keeps none. Only with
        /// a single Redis server.
        near_cache_readers: usize = 100_000, within 0..=10_000_000;
        /// The longest that an answer from this process may be behind Redis, whatever fails.
        near_cache_staleness: Duration = ms(500), within ms(50)..=mins(1);
        /// How far ahead of now a read receipt may lie before it is pulled back.
        receipt_allowance: Duration = mins(1), within ms(0)..=hours(24);
        /// Messages of these msgTypes do not count, written as NetEase writes them.
        ignore_types: Vec<String> = Vec::new(), within MsgType;
        /// Nor do messages of these users.
        ignore_senders: Vec<String> = Vec::new(), within User;
        /// Whether who writes to somebody has read what that one wrote before.
        reply_reads: bool = false, within Any;
    }
}

/// Which of NetEase's server APIs is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeteaseApi {
    /// The classic one.
    V9,
    /// The newer one, with paths below `/im/v2`.
    V10,
}

section! {
    /// `[netease]`
    Netease {
        /// `v9` or `v10`
        api: NeteaseApi = NeteaseApi::V9, within Any;
        /// Up to and with `/nimserver`; with `v10` also a host that serves that alone.
        base_url: String = String::new(), within addresses::NETEASE;
        /// Another address of the same NetEase, for when the first does not answer. Not set: there is none.
        backup_base_url: Option<String> = None, within addresses::NETEASE_BACKUP;
        /// The application at NetEase.
        app_key: String = String::new(), within AppKey;
        /// Signs calls, and message copies.
        app_secret: SecretString = SecretString::default(),
            within Secret("is missing: set OTC_IM__NETEASE__APP_SECRET to the secret of your app");
        /// Secrets that message copies may still be signed with while one is replaced by another.
        previous_app_secrets: Vec<SecretString> = Vec::new(), within Secret("is blank: take it out");
        /// Message copies signed longer ago, or further ahead, are refused. Not set: any age is taken.
        max_age: Option<Duration> = None, within secs(10)..=hours(24);
        /// How long a connection may take to be made.
        connect_timeout: Duration = secs(2), within ms(100)..=mins(1);
        /// How long one attempt of a call may take.
        timeout: Duration = secs(5), within ms(100)..=mins(1);
        /// Attempts of one call.
        attempts: usize = 2, within 1..=10;
        /// How many calls of one API NetEase takes in any second.
        calls_per_second: u32 = 100, within 1..=10_000;
        /// How many batches of notices NetEase takes in any minute.
        batch_calls_per_minute: u32 = 120, within 1..=10_000;
        /// Instances of this service that share these quotas.
        instances: u32 = 1, within 1..=1000;
        /// How long an attempt of a call that somebody waits for may wait for its turn in the quota.
        quota_wait: Duration = secs(3), within ms(100)..=mins(1);
        /// Whether gaps in the flow of copies are filled from NetEase's history.
        reconcile: ReconcileMode = ReconcileMode::Auto, within Any;
        /// How long after its end a gap is filled.
        reconcile_after: Duration = mins(1), within secs(0)..=hours(1);
        /// How many calls a second that may take.
        reconcile_calls_per_second: u32 = 5, within 1..=1_000;
        /// Whether NetEase is told of what the site marks as read.
        tell_reads: bool = false, within Any;
        /// The HTTP proxy that calls go through: `http://user:password@host:port`. Not set: there is none.
        proxy: Option<String> = None, within addresses::PROXY;
    }
}

section! {
    /// `[notifications]`
    Notifications {
        /// The user whose account sends what names no sender; registered when first needed.
        system_account: String = "otc-system".into(), within User;
        /// Whether a notice whose outcome is not known is sent again, with its id inside. Else its state is `unknown`.
        resend_unknown: bool = false, within Any;
        /// How long the answer to an accepted notice waits for its delivery before it says `queued`.
        patience: Duration = secs(2), within ms(10)..=mins(1);
        /// Deliveries that one instance has in hand at once.
        at_once: usize = 128, within 1..=10_000;
        /// Attempts of one delivery that NetEase may have seen.
        attempts: u32 = 10, within 1..=1000;
        /// How long one is tried, however few its attempts.
        give_up_after: Duration = hours(24), within ms(100)..=hours(24);
        /// How long an instance that has died keeps others from what it had in hand.
        lease: Duration = mins(1), within secs(10)..=hours(24);
        /// Deliveries that may wait; beyond them notices are refused with 429.
        max_queued: u64 = 100_000, within 1..=100_000_000;
        /// Notifications are forgotten this many days after they were accepted, once they are done.
        keep_days: u32 = 7, within 1..=3650;
    }
}

/// Whether the service reconciles by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconcileMode {
    /// Whenever it could not take copies.
    Auto,
    /// Never; `otc-im reconcile` does.
    Off,
}

/// How callers prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        mode: AuthMode = AuthMode::Jwt, within Any;
        /// The HMAC secret of tokens: at least 32 bytes (HS256), 48 for HS384, 64 for HS512.
        hs256_secret: Option<SecretString> = None, within Secret("is blank: set it, or leave it out");
        /// A PEM file with a public key: RSA (RS256, PS256), P-256 (ES256) or Ed25519 (`EdDSA`).
        public_key_file: Option<PathBuf> = None, within Filled;
        /// Where the issuer publishes its keys.
        jwks_url: Option<String> = None, within addresses::JWKS;
        /// What `iss` has to be.
        issuer: Option<String> = None, within Filled;
        /// What `aud` has to hold.
        audience: Option<String> = None, within Filled;
        /// The HTTP proxy that the key set is fetched through. Not set: there is none.
        proxy: Option<String> = None, within addresses::PROXY;
        /// Something in front of this service checks callers, so `mode = "none"` may listen anywhere.
        behind_gateway: bool = false, within Any;
    }
}

section! {
    /// `[tls]`
    Tls {
        /// A PEM file with the certificates of the site's own authorities. MySQL, NetEase and the issuer are trusted if
        /// one of them or a public one vouches; MongoDB and Redis, if one of them does.
        ca_file: Option<PathBuf> = None, within Filled;
    }
}

section! {
    /// `[limits]`
    Limits {
        /// Users that one poll may ask about.
        poll_users: usize = MAX_PEERS, within 1..=MAX_PEERS;
        /// Bytes of a message copy. MongoDB takes no document above 16 MiB, nor whatever was to be written with one.
        webhook_body: usize = 1024 * 1024, within 1..=15 * 1024 * 1024;
        /// Bytes of any other body.
        body: usize = 64 * 1024, within 1..=15 * 1024 * 1024;
        /// How long any other body may take to arrive.
        body_timeout: Duration = secs(10), within ms(100)..=mins(5);
        /// How long a message copy may take, its body included; NetEase gives up after 5 s.
        webhook_timeout: Duration = secs(4), within ms(100)..=ms(4900);
        /// Message copies under way at once; further ones are answered 503.
        webhooks_at_once: usize = 1024, within 1..=100_000;
        /// Streams of counts that may be open at once.
        streams: usize = 10_000, within 1..=1_000_000;
        /// Streams of one reader that may be open at once.
        streams_per_reader: usize = 20, within 1..=10_000;
        /// New accounts that one caller may make a minute by naming sellers whom nobody has named before.
        new_accounts_per_caller: u32 = 30, within 1..=10_000;
        /// How long a poll or a read mark may take.
        poll_timeout: Duration = secs(3), within ms(100)..=mins(1);
        /// How long a call that needs NetEase may take.
        netease_timeout: Duration = secs(15), within ms(100)..=mins(5);
        /// Connections that may be open at once; further ones are closed. Fewer if the system has too few open files.
        /// `None`: as many as there are files for, within reason.
        connections: Option<usize> = None, within 1..=1_000_000;
        /// How long a new connection may take until the head of its first request is there.
        head_timeout: Duration = secs(10), within ms(100)..=mins(1);
        /// How long a connection may take from an answer to the head of its next request.
        idle_timeout: Duration = mins(1), within ms(100)..=hours(1);
        /// How long `/readyz` says 503, and everything is served, before a stop begins.
        drain: Duration = secs(0), within secs(0)..=mins(5);
        /// How long requests under way may take to end once the stop has begun.
        shutdown: Duration = secs(9), within ms(100)..=secs(10);
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
        format: LogFormat = LogFormat::Pretty, within Any;
        /// Levels by module, such as `info,otc_im=debug`.
        filter: String = "info,redis=error".into(), within LogFilter;
    }
}

impl Config {
    /// Reads the file, if one is named or [`DEFAULT_FILE`] is there, and the environment over it.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::over(sources::file(file)?, std::env::vars_os())
    }

    /// Reads variables alone.
    pub fn of_variables(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, ConfigError> {
        Self::over(Table::new(), variables)
    }

    fn over(
        mut tables: Table,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        sources::lay_over(&mut tables, variables)?;
        Self::read(tables)
    }
}

#[cfg(test)]
mod tests;
