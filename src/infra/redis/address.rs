//! Where Redis is, and which authorities may vouch for it.

use redis::{Client, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsCertificates};

use super::timeouts::tcp_settings;
use crate::infra::authorities::Authorities;

/// A URL, and what certificates of `rediss://` have to be signed by: by default one of the public authorities.
#[derive(Debug, Clone)]
pub struct RedisAddress {
    url: String,
    certificates: Option<TlsCertificates>,
}

impl<T: AsRef<str> + ?Sized> From<&T> for RedisAddress {
    fn from(url: &T) -> Self {
        Self { url: url.as_ref().to_owned(), certificates: None }
    }
}

impl RedisAddress {
    /// The same, if it is one with TLS, vouched for by these alone, if there are any: the driver takes either the public
    /// authorities or others.
    #[must_use]
    pub fn trusting(self, authorities: &Authorities) -> Self {
        let own = authorities.pem().filter(|_| self.url.starts_with("rediss"));
        let certificates = own.map(|pem| TlsCertificates { client_tls: None, root_cert: Some(pem.to_vec()) });
        Self { certificates, ..self }
    }

    /// As it is configured.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Of a cluster.
    pub(super) fn certificates(&self) -> Option<TlsCertificates> {
        self.certificates.clone()
    }

    /// Of a single server.
    pub(super) fn info(&self) -> RedisResult<ConnectionInfo> {
        self.vouched(self.url.as_str().into_connection_info()?)
    }

    /// The same connection, with what it has to be signed by.
    pub(super) fn vouched(&self, info: ConnectionInfo) -> RedisResult<ConnectionInfo> {
        let info = info.set_tcp_settings(tcp_settings());
        match self.certificates() {
            Some(certificates) => {
                Ok(Client::build_with_tls(info, certificates)?.get_connection_info().clone())
            }
            None => Ok(info),
        }
    }

    /// `redis-cluster://user:pass@a:1,b:2` names one URL per node; any other scheme is a single server.
    pub(super) fn cluster_nodes(&self) -> Option<Vec<String>> {
        let (scheme, rest) = self.url.split_once("://")?;
        let scheme = scheme.strip_suffix("-cluster")?;
        let (user, hosts) =
            rest.rsplit_once('@').map_or((String::new(), rest), |(u, h)| (format!("{u}@"), h));
        Some(hosts.trim_end_matches('/').split(',').map(|host| format!("{scheme}://{user}{host}")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_url_names_its_nodes() {
        let nodes = |url| RedisAddress::from(url).cluster_nodes().unwrap();
        assert_eq!(nodes("redis-cluster://a:1,b:2"), ["redis://a:1", "redis://b:2"]);
        assert_eq!(nodes("rediss-cluster://u:p@a:1,b:2/"), ["rediss://u:p@a:1", "rediss://u:p@b:2"]);
        assert_eq!(RedisAddress::from("redis://a:1").cluster_nodes(), None);
    }
}
