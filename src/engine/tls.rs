//! TLS connections to an engine: trusted certificates, client certificate, and their files.

use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
};

/// TLS settings of an engine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tls {
    /// File of trusted certificates; the system's certificates if absent.
    pub ca: Option<PathBuf>,
    /// Files of the client's certificate and key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Checks of the engine's certificate.
    pub verify: Verify,
}

/// Checks of the engine's certificate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Verify {
    /// Signature and host name.
    #[default]
    Full,
    /// Signature only.
    Signature,
    /// Nothing: anyone can impersonate the engine.
    Nothing,
}

impl Tls {
    /// Uses the files `ca.pem`, `cert.pem` and `key.pem` of a directory, if they exist.
    pub(crate) fn from_dir(dir: &Path, verify: Verify) -> Self {
        let file = |name: &str| Some(dir.join(name)).filter(|path| path.exists());
        Self {
            ca: file("ca.pem").filter(|_| verify != Verify::Nothing),
            client: file("cert.pem").zip(file("key.pem")),
            verify,
        }
    }

    /// Like [`Self::from_dir`], but a missing file must not weaken the checks: it is an
    /// error when the files are read. Certificate and key of the client are optional, but one
    /// without the other is an error.
    pub(crate) fn required(dir: &Path, verify: Verify) -> Self {
        let file = |name: &str| dir.join(name);
        let (certificate, key) = (file("cert.pem"), file("key.pem"));
        let is_known = certificate.exists() || key.exists();
        Self {
            ca: (verify != Verify::Nothing).then(|| file("ca.pem")),
            client: is_known.then_some((certificate, key)),
            verify,
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Returns the file that cannot be used, and why.
    pub(crate) fn config(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions();
        let builder = builder
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(&provider)?);
        match &self.client {
            None => Ok(builder.with_no_client_auth()),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let private =
                    PrivateKeyDer::from_pem_file(key).map_err(|error| cannot_read(key, &error))?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|error| {
                        format!(
                            "{} and {} do not match: {error}",
                            certificate.display(),
                            key.display()
                        )
                    })
            }
        }
    }

    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, String> {
        if self.verify == Verify::Nothing {
            return Ok(Arc::new(LenientVerifier {
                signature: None,
                provider: provider.clone(),
            }));
        }
        let full =
            WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), provider.clone())
                .build();
        let full = full.map_err(|error| format!("no trusted certificates: {error}"))?;
        Ok(match self.verify {
            Verify::Signature => Arc::new(LenientVerifier {
                signature: Some(full),
                provider: provider.clone(),
            }),
            _ => full,
        })
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        if let Some(path) = &self.ca {
            return roots_in(path);
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Ok(roots)
    }
}

/// Returns the certificates of a file as those that are trusted.
///
/// # Errors
///
/// Returns why the file cannot be used.
pub(crate) fn roots_in(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| cannot_read(path, &error))?;
    }
    Ok(roots)
}

/// Returns the certificates of a file, at least one.
///
/// # Errors
///
/// Returns why the file cannot be used.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match all {
        Ok(all) if all.is_empty() => Err(format!("{} contains no certificate", path.display())),
        Ok(all) => Ok(all),
        Err(error) => Err(cannot_read(path, &error)),
    }
}

pub(crate) fn cannot_read(path: &Path, error: &dyn fmt::Display) -> String {
    format!("{} cannot be used: {error}", path.display())
}

/// Verifier that ignores the host name. Without `signature` it checks nothing.
#[derive(Debug)]
struct LenientVerifier {
    signature: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for LenientVerifier {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(verifier) = &self.signature else {
            return Ok(ServerCertVerified::assertion());
        };
        match verifier.verify_server_cert(end, chain, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_ca_is_an_error_if_verification_is_required() {
        let dir = tempfile::tempdir().unwrap();
        let error = Tls::required(dir.path(), Verify::Full)
            .config()
            .unwrap_err();
        assert!(error.contains("ca.pem cannot be used"), "{error}");
        std::fs::write(dir.path().join("key.pem"), "").unwrap();
        let half = Tls::required(dir.path(), Verify::Nothing);
        assert!(
            half.config().unwrap_err().contains("cert.pem"),
            "a key without a certificate is an error"
        );
        assert_eq!(
            Tls::from_dir(dir.path(), Verify::Full).ca,
            None,
            "ca.pem is optional in a context"
        );
    }
}
