//! Calls the service as its callers do, and holds every answer to the OpenAPI document.

use std::sync::OnceLock;
use std::time::Duration;

use otc_im::infra::clock::System;
use otc_im::infra::{http_client, jwt};
use otc_im::ports::clock::Clock;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// Signs the tokens of callers.
pub const KEY: &str = "a secret of at least thirty-two bytes, for tests";
/// The document that `openapi_json_in_docs_is_what_is_served` keeps up to date.
pub const OPENAPI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

/// A plain HTTP client.
pub fn http() -> reqwest::Client {
    http_client::client(Duration::from_secs(2), Duration::from_secs(30), &http_client::Egress::default())
        .expect("a client can be made")
}

/// A token that holds for an hour.
pub fn token(subject: &str, scopes: &str) -> String {
    token_until(subject, scopes, 3600)
}

/// A token that expires so many seconds from now.
pub fn token_until(subject: &str, scopes: &str, seconds: i64) -> String {
    let expires_at = (System.now().0 / 1000 + seconds).unsigned_abs();
    jwt::mint(&KEY.into(), subject, scopes, expires_at, None, None).expect("a token can be made")
}

/// One service, and who calls it.
#[derive(Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
    token: Option<String>,
}

impl Client {
    /// Nobody in particular calls the service at `base`.
    pub fn new(base: String) -> Self {
        Self { base, http: http(), token: None }
    }

    /// The same service, called with a token for this user that has every scope there is.
    pub fn as_user(&self, user: &str) -> Self {
        self.with_token(token(user, "notify"))
    }

    /// The same service, called with this token.
    pub fn with_token(&self, token: String) -> Self {
        Self { token: Some(token), ..self.clone() }
    }

    /// The whole address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A request to be finished by the test.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, self.url(path));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A GET.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// A POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_text(path, body.to_string()).await
    }

    /// A POST of anything.
    pub async fn post_text(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        send(self.request(Method::POST, path).body(body)).await
    }
}

/// Sends a request, and checks that the document knows an answer with such a status, and that an error is a problem.
pub async fn send(request: RequestBuilder) -> Answer {
    let (http, request) = request.build_split();
    let request = request.expect("a request that makes sense");
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = http.execute(request).await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.expect("a whole answer");
    assert_documented(&method, &path, status);
    if status >= 400 {
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        assert_eq!(media_type, Some("application/problem+json"), "{method} {path} answered {status}: {text}");
    }
    Answer { status, headers, text }
}

fn assert_documented(method: &Method, path: &str, status: u16) {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| {
        let text = std::fs::read_to_string(OPENAPI).unwrap_or_else(|_| "{}".to_owned());
        serde_json::from_str(&text).expect("the document is JSON")
    });
    let is_at = |template: &str| {
        let parts = || template.split('/').zip(path.split('/'));
        template.split('/').count() == path.split('/').count()
            && parts().all(|(wanted, part)| wanted == part || wanted.starts_with('{'))
    };
    let calls = document["paths"].as_object().into_iter().flatten();
    let calls =
        calls.filter(|(template, _)| is_at(template)).min_by_key(|(template, _)| template.contains('{'));
    let call = calls.map_or(&Value::Null, |(_, calls)| &calls[method.as_str().to_ascii_lowercase()]);
    let known = call.is_null() || call["responses"].get(status.to_string()).is_some();
    assert!(known, "{method} {path} answered {status}, which the OpenAPI document does not list");
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body of a success.
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text);
        self.json()
    }

    /// The body.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// A header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body of a problem of this status and code, which has all that every problem has.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header(CONTENT_TYPE.as_str()), "application/problem+json");
        let problem = self.json();
        assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()), "{problem}");
        for text in ["title", "detail"] {
            assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "{text}: {problem}");
        }
        if status == 503 || status == 429 {
            let seconds = self.header(RETRY_AFTER.as_str()).parse::<u32>();
            assert!(seconds.is_ok_and(|seconds| seconds > 0), "Retry-After: {:?}", self.headers);
        }
        problem
    }

    /// A 422 about this field.
    pub fn invalid(&self, field: &str) -> Value {
        let problem = self.problem(422, "invalid");
        assert_eq!(problem["field"], field, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(field)), "{problem}");
        problem
    }
}
