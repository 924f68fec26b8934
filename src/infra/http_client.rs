//! The HTTP client that every adapter calls out with: TLS on ring, Mozilla's roots and the site's own, the proxy that is
//! configured, nothing from the environment.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};

use super::authorities::Authorities;

/// A connection that was idle for so long is not used again.
///
/// Networks and servers cut idle connections, some without a word, and a request that meets such a cut may or may not
/// have been seen: nothing in its error tells. So this side is the first to close. A new connection costs a few round
/// trips, which only a quiet service pays.
const IDLE: Duration = Duration::from_secs(2);

/// Why there is no client. Only a build of this program that is broken gets here.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The TLS versions that we offer are not those of the crypto provider.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The client refused its settings.
    #[error("the HTTP client cannot be built")]
    Build(#[from] reqwest::Error),
}

/// The way out of the site's network.
#[derive(Debug, Clone, Default)]
pub struct Egress {
    /// Whom to trust beside the public authorities.
    pub authorities: Authorities,
    /// The URL of an HTTP proxy, `http` or `https`, which may name a user and a password; `None`: there is none. What
    /// is called by `https` passes it in a tunnel (CONNECT).
    pub proxy: Option<SecretString>,
}

/// A pooled client. `connect_timeout` bounds TCP and TLS together, `timeout` the whole call up to the last byte of
/// the body.
///
/// It trusts the roots it was compiled with, so it runs in an image without CA certificates. It follows no redirect:
/// nobody we call has a reason to send us, or a signed request of ours, elsewhere. It ignores `HTTP_PROXY` and its like.
pub fn client(
    connect_timeout: Duration,
    timeout: Duration,
    egress: &Egress,
) -> Result<reqwest::Client, HttpClientError> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(&egress.authorities)?)
        .connect_timeout(connect_timeout)
        .timeout(timeout)
        .pool_idle_timeout(IDLE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("otc-im/", env!("CARGO_PKG_VERSION")));
    let builder = match &egress.proxy {
        Some(url) => builder.proxy(reqwest::Proxy::all(url.expose_secret())?),
        None => builder,
    };
    Ok(builder.build()?)
}

fn tls(authorities: &Authorities) -> Result<ClientConfig, rustls::Error> {
    // The provider is named here, so that no process-wide default has to be installed first.
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities.and_public())
        .with_no_client_auth();
    // reqwest adds these only to a configuration that it made itself.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, response::Redirect, routing::get};

    #[tokio::test]
    async fn calls_plain_http_and_stays_where_it_was_sent() {
        let app = Router::new().route("/", get(|| async { Redirect::temporary("http://127.0.0.1:1/") }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });

        let client = client(Duration::from_secs(5), Duration::from_secs(5), &Egress::default()).unwrap();
        assert_eq!(client.get(url).send().await.unwrap().status(), 307);
    }
}
