//! Every error that leaves this service over HTTP: RFC 9457 `application/problem+json` with a stable `code`.

use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::commands::bind_account::BindError;
use crate::commands::log_failure::store_failed;
use crate::commands::register_account::RegisterError;
use crate::domain::excerpt::excerpt;
use crate::log_gate::LogGates;
use crate::ports::StoreError;
use crate::ports::authenticator::AuthError;
use crate::ports::gateway::{GatewayError, whole_seconds};

/// Characters of what a request holds that its answer repeats.
const LONGEST_QUOTE: usize = 100;

/// What went wrong, as a program reads it. A code never changes its meaning or its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The body or the query is not what it claims to be: broken JSON, broken encoding.
    Unreadable,
    /// Who is calling could not be established.
    Unauthorized,
    /// The caller may not do this.
    Forbidden,
    /// There is no such path or thing.
    NotFound,
    /// The path is there, the method is not.
    MethodNotAllowed,
    /// The body took too long to arrive.
    BodyTimeout,
    /// The NetEase account of this user id is kept for another one.
    AccountTaken,
    /// The body is larger than this call takes.
    TooLarge,
    /// A field breaks a rule or a limit; `field` names it.
    Invalid,
    /// The webhook's signature is not NetEase's.
    BadSignature,
    /// NetEase allows no more such calls for a while.
    NeteaseBusy,
    /// This reader has as many streams as one may have.
    TooManyStreams,
    /// This caller makes too many new accounts a minute, or has too many binds under way.
    TooManyBinds,
    /// A fault of this service.
    Internal,
    /// NetEase refused for good.
    NeteaseRejected,
    /// NetEase is out of reach; whatever it may have done, the same request may be sent again.
    NeteaseUnavailable,
    /// One of this service's stores is out of reach.
    StoreUnavailable,
    /// More work is under way than this service takes on, or it took too long.
    Overloaded,
    /// The keys that verify tokens are out of reach.
    KeysUnavailable,
    /// This instance is about to stop.
    Stopping,
}

impl Code {
    /// Its HTTP status, its title, and after how many seconds trying again makes sense.
    fn facts(self) -> (StatusCode, &'static str, Option<u32>) {
        match self {
            Self::Unreadable => (StatusCode::BAD_REQUEST, "Unreadable request", None),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "Not authenticated", None),
            Self::BadSignature => (StatusCode::UNAUTHORIZED, "Bad signature", None),
            Self::Forbidden => (StatusCode::FORBIDDEN, "Not allowed", None),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not found", None),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", None),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "Body took too long", None),
            Self::AccountTaken => (StatusCode::CONFLICT, "Account taken", None),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Body too large", None),
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid request", None),
            Self::NeteaseBusy => (StatusCode::TOO_MANY_REQUESTS, "NetEase takes no more calls", Some(10)),
            Self::TooManyStreams => (StatusCode::TOO_MANY_REQUESTS, "Too many streams", Some(5)),
            Self::TooManyBinds => (StatusCode::TOO_MANY_REQUESTS, "Too many binds", None),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "Internal error", None),
            Self::NeteaseRejected => (StatusCode::BAD_GATEWAY, "NetEase refused", None),
            Self::NeteaseUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "NetEase is out of reach", Some(5)),
            Self::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "A store is out of reach", Some(1)),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "Too busy", Some(1)),
            Self::KeysUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "Keys are out of reach", Some(5)),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "Stopping", Some(1)),
        }
    }
}

/// The body of every error answer (RFC 9457; `type` is `about:blank`, so it is left out).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// The same for every problem of this code.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What a program decides by.
    code: Code,
    /// One sentence for a person: what is wrong with this request, and the way out.
    detail: String,
    /// The field in question.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// `Retry-After` in seconds, where it is known better than from the code.
    #[serde(skip)]
    retry_after: Option<u32>,
}

impl Problem {
    /// A problem with one sentence about this request.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let (status, title, _) = code.facts();
        Self { title, status: status.as_u16(), code, detail: detail.into(), field: None, retry_after: None }
    }

    /// A field against a rule: `predicate` completes the sentence that begins with its name, of which a caller may have
    /// made anything.
    pub fn invalid(field: impl AsRef<str>, predicate: impl std::fmt::Display) -> Self {
        let field = quoted(field.as_ref());
        Self { field: Some(field.clone()), ..Self::new(Code::Invalid, format!("`{field}` {predicate}")) }
    }

    /// Its sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.code
    }
}

/// What a request holds, as far as an answer repeats it.
pub fn quoted(written: &str) -> String {
    excerpt(written, LONGEST_QUOTE)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let code = self.code;
        let (status, _, usual) = code.facts();
        let retry_after = self.retry_after.or(usual);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if code == Code::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        store_failed(error);
        match error {
            StoreError::Unavailable { store, .. } => Self::new(
                Code::StoreUnavailable,
                format!("the {store} store is out of reach; try again shortly"),
            ),
            StoreError::Refused { store, .. } => Self::new(
                Code::Internal,
                format!("the {store} store refused what was asked of it; see the log"),
            ),
            StoreError::Corrupt { store, .. } => Self::new(
                Code::Internal,
                format!("the {store} store holds something unexpected; see the log"),
            ),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<Arc<StoreError>> for Problem {
    fn from(error: Arc<StoreError>) -> Self {
        Self::from(&*error)
    }
}

impl From<GatewayError> for Problem {
    fn from(error: GatewayError) -> Self {
        static FAILED: LogGates<Discriminant<GatewayError>> = LogGates::new();
        if let Some(count) = FAILED.pass(discriminant(&error)) {
            let (api, code) = (error.api(), error.code());
            tracing::warn!(count, api, code, %error, "a call to NetEase failed");
        }
        let (code, retry_after) = match &error {
            // Only notices must not be repeated, and they go by the outbox: here it was a bind.
            GatewayError::OutOfReach(_)
            | GatewayError::Transient { .. }
            | GatewayError::CalledOff(_)
            | GatewayError::OutcomeUnknown(_) => (Code::NeteaseUnavailable, None),
            GatewayError::Busy { again_in, .. } => {
                let seconds = u32::try_from(whole_seconds(*again_in)).unwrap_or(u32::MAX);
                (Code::NeteaseBusy, Some(seconds))
            }
            GatewayError::Rejected { .. } | GatewayError::NotAccepted { .. } => (Code::NeteaseRejected, None),
        };
        Self { retry_after, ..Self::new(code, error.to_string()) }
    }
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Taken(ref accid) => Self::new(
                Code::AccountTaken,
                format!("{error}; `otc-im accounts release {accid}` on the server frees it"),
            ),
            RegisterError::Store(error) => error.into(),
            RegisterError::Gateway(error) => error.into(),
        }
    }
}

impl From<BindError> for Problem {
    fn from(error: BindError) -> Self {
        match error {
            BindError::OverLimit(limit) => Self {
                retry_after: Some(limit.again_in_seconds()),
                ..Self::new(Code::TooManyBinds, limit.to_string())
            },
            BindError::Register(error) => error.into(),
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let (code, retry_after) = match error {
            AuthError::Missing | AuthError::Invalid(_) => (Code::Unauthorized, None),
            AuthError::KeysUnavailable { again_in } => {
                (Code::KeysUnavailable, u32::try_from(whole_seconds(again_in)).ok())
            }
        };
        Self { retry_after, ..Self::new(code, error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn retry_after_is_what_the_sentence_says() {
        for (again_in_ms, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (9_600, 10), (59_000, 59)] {
            let again_in = Duration::from_millis(again_in_ms);
            let problem = Problem::from(GatewayError::Busy { api: "user/create", again_in });
            let told = format!("closed for another {seconds} s");
            assert!(problem.detail.ends_with(&told), "{}", problem.detail);
            let answer = problem.into_response();
            assert_eq!(answer.headers()[header::RETRY_AFTER], seconds.to_string());
        }
    }
}
