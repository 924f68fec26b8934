//! The calls we make to NetEase (NIM server API), whichever of its server APIs is spoken.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::domain::ids::Accid;
use crate::domain::message::MessageRef;

/// NetEase's server API. Every call is bounded in time, keeps to NetEase's quota, and signs each attempt anew.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Registers an account with our token. Repeating it after success answers [`Created::AlreadyRegistered`] and changes
    /// nothing.
    async fn create_user(
        &self,
        accid: &Accid,
        token: &str,
        name: Option<&str>,
    ) -> Result<Created, GatewayError>;

    /// Sets the token of a registered account. Safe to repeat.
    async fn set_token(&self, accid: &Accid, token: &str) -> Result<(), GatewayError>;

    /// Sets the name that others see. Safe to repeat.
    async fn set_name(&self, accid: &Accid, name: &str) -> Result<(), GatewayError>;

    /// Makes two accounts friends, at once and both ways. Safe to repeat.
    async fn add_friend(&self, accid: &Accid, friend: &Accid) -> Result<(), GatewayError>;

    /// Sends a notice to one person or team, each time `before` allows it. **Not** safe to repeat after
    /// [`GatewayError::OutcomeUnknown`]: NetEase has no idempotency here, and the user may be notified twice.
    async fn send_notice(&self, notice: &Notice, before: &dyn BeforeSend) -> Result<(), GatewayError>;

    /// Sends a notice to 1 to [`Self::most_recipients`] persons by one call, each time `before` allows it; answers whom it
    /// did not reach. **Not** safe to repeat after [`GatewayError::OutcomeUnknown`].
    async fn send_batch(
        &self,
        from: &Accid,
        to: &[Accid],
        content: &NoticeContent,
        before: &dyn BeforeSend,
    ) -> Result<Vec<LeftOut>, GatewayError>;

    /// Recipients of one batch, at least 1: 5000 by V9, 500 by V10.
    fn most_recipients(&self) -> usize;

    /// Tells NetEase that the reader has read what the peer wrote, up to and including `newest`: their other clients, and
    /// the peer's, see it. Safe to repeat.
    async fn tell_read(&self, reader: &Accid, peer: &Accid, newest: &MessageRef) -> Result<(), GatewayError>;

    /// The names of those accounts that NetEase knows; empty where it knows no name.
    async fn names(&self, accids: &[Accid]) -> Result<BTreeMap<Accid, String>, GatewayError>;

    /// How long calls will be refused without being sent, because the last ones did not get through.
    fn circuit_open_for(&self) -> Option<Duration>;
}

/// Asked right before each attempt of a call that must happen once: after its turn has come, before its first byte.
#[async_trait]
pub trait BeforeSend: Send + Sync {
    /// Whether the attempt may be made. If not, the call ends as [`GatewayError::CalledOff`].
    async fn may_send(&self) -> bool;
}

/// What came of registering an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The account is new and has our token.
    New,
    /// There is such an account already; its token is whatever it was.
    AlreadyRegistered,
}

/// A recipient whom a batch did not reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Who.
    pub to: Accid,
    /// NetEase's code and words; `None` if it is that NetEase does not know them.
    pub refusal: Option<String>,
}

/// A custom system notice on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The sender: a registered account.
    pub from: Accid,
    /// Who gets it.
    pub to: Addressee,
    /// What it says, and how it is shown.
    pub content: NoticeContent,
}

/// Who gets a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressee {
    /// A registered account.
    Person(Accid),
    /// A team, by its id, which is of the alphabet of accids.
    Team(Accid),
}

/// What a notice says and how it is shown. The limits, in characters, are NetEase's.
///
/// The outbox keeps it as JSON: a release must be able to read what the one before has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeContent {
    /// What the client gets, at most 4096 characters.
    pub attach: String,
    /// Text of the push, at most 500.
    pub push_content: Option<String>,
    /// JSON for the push, at most 2048.
    pub payload: Option<String>,
    /// Name of a sound file in the app, at most 30.
    pub sound: Option<String>,
    /// 1: only to those online; 2: kept for those who are not.
    pub save: u8,
    /// Whether it counts in the app's badge.
    pub badge: bool,
    /// Whether the push shows the sender's nickname.
    pub need_push_nick: bool,
    /// Whether NetEase copies it to our webhook.
    pub route: bool,
}

/// At least one, and rounded up: whoever waits so long does not come too early.
pub fn whole_seconds(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}

/// Why a call did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// Not sent: nothing happened at NetEase. Of a call that is safe to repeat also: sent, and no answer came.
    #[error("NetEase is out of reach: {0}")]
    OutOfReach(String),
    /// The caller did not let it go: nothing happened at NetEase.
    #[error("{0} was called off")]
    CalledOff(&'static str),
    /// NetEase does not accept this service: a wrong key, secret, clock or address. Every call will fail like this
    /// until somebody acts; nothing happened.
    #[error("NetEase does not accept this service: {api} was answered with code {code}, {desc}")]
    NotAccepted {
        /// Which call.
        api: &'static str,
        /// NetEase's code.
        code: i64,
        /// NetEase's words.
        desc: String,
    },
    /// Refused for a passing reason: nothing happened at NetEase, or it may happen twice.
    #[error("NetEase is in passing trouble: {api} was answered with code {code}")]
    Transient {
        /// Which call.
        api: &'static str,
        /// NetEase's code.
        code: i64,
    },
    /// Sent, and no answer came: it may have happened, and must not be repeated lightly.
    #[error("NetEase gave no answer to {0}; whether it was done is not known")]
    OutcomeUnknown(&'static str),
    /// The quota of this API is used up, or NetEase has closed it (code 416): nothing happened.
    #[error("too many calls of {api}: it is closed for another {} s", whole_seconds(*.again_in))]
    Busy {
        /// Which call.
        api: &'static str,
        /// When it is worth trying again.
        again_in: Duration,
    },
    /// Refused for good: repeating the same call will not help.
    #[error("NetEase refused {api}: code {code}, {desc}")]
    Rejected {
        /// Which call.
        api: &'static str,
        /// NetEase's code.
        code: i64,
        /// NetEase's words.
        desc: String,
    },
}

impl GatewayError {
    /// Which call it was, where that is known.
    pub fn api(&self) -> Option<&'static str> {
        match self {
            Self::OutOfReach(_) => None,
            Self::CalledOff(api)
            | Self::OutcomeUnknown(api)
            | Self::NotAccepted { api, .. }
            | Self::Transient { api, .. }
            | Self::Busy { api, .. }
            | Self::Rejected { api, .. } => Some(api),
        }
    }

    /// NetEase's code, if it answered with one.
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::NotAccepted { code, .. } | Self::Transient { code, .. } | Self::Rejected { code, .. } => {
                Some(*code)
            }
            Self::OutOfReach(_) | Self::CalledOff(_) | Self::OutcomeUnknown(_) | Self::Busy { .. } => None,
        }
    }
}
