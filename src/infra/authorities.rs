//! The certificate authorities that are trusted beside the public ones, which are part of the binary.

use std::error::Error;
use std::io;
use std::iter::successors;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// What rustls says of a certificate that no trusted authority has signed; drivers pass it on as text.
const UNKNOWN: &str = "invalid peer certificate: UnknownIssuer";

/// The authorities of a site; by default none.
#[derive(Debug, Clone, Default)]
pub struct Authorities(Option<Arc<Bundle>>);

#[derive(Debug)]
struct Bundle {
    path: PathBuf,
    pem: Vec<u8>,
    certificates: Vec<CertificateDer<'static>>,
}

/// Why a file of authorities is of no use. Each is a predicate with the way out.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// No such file, or no permission.
    #[error("cannot be read ({0}): make it a PEM file that this user may read")]
    Unreadable(#[from] io::Error),
    /// Not one certificate in it.
    #[error("holds no certificate: write the authority's there, as PEM (-----BEGIN CERTIFICATE-----)")]
    Empty,
    /// Something in it is none.
    #[error("holds something that is no certificate of an authority: export it again, as PEM")]
    Odd,
    /// Its name goes into the URLs of stores.
    #[error("has a name that is not UTF-8 text: give it another")]
    Name,
}

impl Authorities {
    /// Those in a PEM file.
    pub fn read(path: &Path) -> Result<Self, AuthoritiesError> {
        path.to_str().ok_or(AuthoritiesError::Name)?;
        let pem = std::fs::read(path)?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let certificates = certificates.map_err(|_| AuthoritiesError::Odd)?;
        if certificates.is_empty() {
            return Err(AuthoritiesError::Empty);
        }
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|_| AuthoritiesError::Odd)?;
        }
        Ok(Self(Some(Arc::new(Bundle { path: path.to_owned(), pem, certificates }))))
    }

    /// Where they were read, if there are any.
    pub fn file(&self) -> Option<&str> {
        self.0.as_ref().and_then(|bundle| bundle.path.to_str())
    }

    /// What was read there.
    pub fn pem(&self) -> Option<&[u8]> {
        self.0.as_ref().map(|bundle| &*bundle.pem)
    }

    /// These and the public ones.
    pub fn and_public(&self) -> RootCertStore {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let own = self.0.iter().flat_map(|bundle| bundle.certificates.iter().cloned());
        roots.add_parsable_certificates(own);
        roots
    }
}

/// Whether a connection failed because no trusted authority has signed the server's certificate.
pub fn is_unknown_authority(error: &(dyn Error + 'static)) -> bool {
    successors(Some(error), |&cause| cause.source()).any(|cause| cause.to_string().contains(UNKNOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_certificate_is_refused_with_the_way_out() {
        let path = std::env::temp_dir().join(format!("otc-im-authorities-{}", std::process::id()));
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Authorities::read(&path).unwrap_err().to_string()
        };
        for empty in ["", "\n", "not PEM at all"] {
            assert!(said(empty).starts_with("holds no certificate: "), "{empty:?}");
        }
        let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(said(odd).starts_with("holds something that is no certificate"), "{}", said(odd));
        let torn = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        assert!(said(torn).starts_with("holds something that is no certificate"), "{}", said(torn));
        std::fs::remove_file(&path).unwrap();
        let gone = Authorities::read(&path).unwrap_err().to_string();
        assert!(gone.starts_with("cannot be read (No such file"), "{gone}");
    }
}
