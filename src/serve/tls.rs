//! TLS of servers. Clients must have a certificate: whoever can connect can start containers.

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use std::{
    fmt::Display,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier},
    server::TlsStream,
};

/// Files for the TLS of a server.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Certificate of the server, with its chain.
    pub certificate: PathBuf,
    /// Key of the server.
    pub key: PathBuf,
    /// Certificates that sign those of clients.
    pub client_ca: PathBuf,
}

/// Accepts TLS connections.
#[derive(Clone)]
pub(crate) struct Acceptor(TlsAcceptor);

impl Acceptor {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// The file that cannot be used, and why.
    pub(crate) fn read(files: &TlsFiles) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(roots(&files.client_ca)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build();
        let verifier = verifier.map_err(|error| fault(&files.client_ca, &error))?;
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(verifier);
        let key = PrivateKeyDer::from_pem_file(&files.key);
        let key = key.map_err(|error| fault(&files.key, &error))?;
        let config = builder.with_single_cert(certificates(&files.certificate)?, key);
        let config = config.map_err(|error| fault(&files.certificate, &error))?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| fault(path, &error))?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|error| fault(path, &error))?;
    if all.is_empty() {
        return Err(fault(path, &"it has no certificate"));
    }
    Ok(all)
}

fn fault(path: &Path, why: &dyn Display) -> String {
    format!("cannot use {}: {why}", path.display())
}
