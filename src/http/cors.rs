//! Which pages of other origins may call this service (CORS, Fetch standard).

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};
use url::{Host, Url};

use crate::config::LOOPBACK;

/// How long a browser may remember the answer to a preflight.
const REMEMBERED: Duration = Duration::from_mins(10);

/// Answers preflights of these origins, and lets their pages read every answer, errors too. `None` if there are none: then
/// nothing is said of origins at all. No cookies: callers send their token by themselves.
pub fn layer(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let loopback = origins.iter().any(|origin| origin == LOOPBACK);
    let allow = AllowOrigin::predicate(move |origin, _| {
        allowed.contains(origin) || loopback && origin.to_str().is_ok_and(is_loopback)
    });
    let sent = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_NONE_MATCH,
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("last-event-id"),
    ];
    let layer = CorsLayer::new().allow_origin(allow).allow_methods([Method::GET, Method::POST]);
    Some(layer.allow_headers(sent).expose_headers([header::ETAG, header::RETRY_AFTER]).max_age(REMEMBERED))
}

fn is_loopback(origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else { return false };
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_machine_are_told_from_all_others() {
        for own in
            ["http://localhost:3000", "https://localhost", "http://127.0.0.1:8080", "http://[::1]:5173"]
        {
            assert!(is_loopback(own), "{own}");
        }
        for other in ["http://localhost.evil.example", "http://10.0.0.1", "null", "", "https://shop.example"]
        {
            assert!(!is_loopback(other), "{other}");
        }
        assert!(layer(&[]).is_none());
    }
}
