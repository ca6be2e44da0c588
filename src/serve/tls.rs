//! TLS of servers. Clients must have a certificate: whoever can connect can start containers.

use crate::engine::{cannot_read, certificates, roots_in};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use std::{io, path::PathBuf, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, server::WebPkiClientVerifier},
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
        let roots = Arc::new(roots_in(&files.client_ca)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build();
        let verifier = verifier.map_err(|error| cannot_read(&files.client_ca, &error))?;
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(verifier);
        let key = PrivateKeyDer::from_pem_file(&files.key);
        let key = key.map_err(|error| cannot_read(&files.key, &error))?;
        let config = builder.with_single_cert(certificates(&files.certificate)?, key);
        let config = config.map_err(|error| cannot_read(&files.certificate, &error))?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}
