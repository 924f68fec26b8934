//! One signed post to the webhook (message copy), and what its answer means.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use rustls::{ClientConfig, RootCertStore};

use crate::signing::Signature;

/// NetEase waits this long for the webhook.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Posts to whatever address it is given.
pub struct WebhookClient {
    http: reqwest::Client,
    app_key: String,
}

impl WebhookClient {
    /// Fails only if the TLS set-up does.
    pub fn new(app_key: String) -> io::Result<Self> {
        Ok(Self { http: http_client()?, app_key })
    }

    /// Posts a body under a signature; the HTTP status, or a sentence why there is none.
    ///
    /// `extra` headers replace NetEase's own where they share a name.
    pub async fn post(
        &self,
        url: &str,
        body: Bytes,
        signature: &Signature,
        extra: &[(String, String)],
    ) -> Result<u16, String> {
        let mut headers = reqwest::header::HeaderMap::new();
        let own = [
            ("appkey", self.app_key.as_str()),
            ("curtime", &signature.cur_time),
            ("md5", &signature.md5),
            ("checksum", &signature.check_sum),
            ("content-type", "application/json; charset=utf-8"),
        ];
        let extra = extra.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.into_iter().chain(extra) {
            let name: reqwest::header::HeaderName =
                name.parse().map_err(|_| format!("`{name}` is no header name"))?;
            let value = reqwest::header::HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| format!("header `{name}` cannot carry this value"))?;
            headers.insert(name, value);
        }
        let sent = self.http.post(url).headers(headers).body(body).send().await;
        // The body of the answer is not read, as NetEase does not either.
        sent.map(|response| response.status().as_u16()).map_err(|error| format!("{error:?}"))
    }
}

/// 200 and 500 both count as delivered; everything else is tried again (message copy, "retry").
pub fn is_delivered(status: u16) -> bool {
    status == 200 || status == 500
}

/// An HTTP client with root certificates and a TLS provider of its own: reqwest is built without either, and a
/// machine without system certificates must be no obstacle.
pub fn http_client() -> io::Result<reqwest::Client> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(io::Error::other)
}
