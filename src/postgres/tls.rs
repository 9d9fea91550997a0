//! TLS to the server: which certificates are trusted, and how a connection is made with it or without.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::PostgresFailure;
use super::target::PostgresTarget;

/// What makes encrypted connections to servers whose certificates are checked.
pub(super) type Tls = MakeRustlsConnect;

/// Trusts the certificates of a file, or those that this system trusts.
pub(super) fn trusting(roots: Option<&Path>) -> Result<Tls, String> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(file) => {
            let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
            let read = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))?;
            for certificate in read {
                let certificate = certificate.map_err(|error| unreadable(&error))?;
                store.add(certificate).map_err(|error| unreadable(&error))?;
            }
            if store.is_empty() {
                return Err(unreadable(&"it holds no certificate (PEM)"));
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                return Err(
                    "this system trusts no certificate: name a file in postgres.root_certificates".to_owned(),
                );
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// A client, and the task that leads its connection. Dropping it closes the connection.
pub(super) struct DrivenClient {
    client: Client,
    driver: JoinHandle<()>,
}

impl Drop for DrivenClient {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl std::ops::Deref for DrivenClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl std::ops::DerefMut for DrivenClient {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl DrivenClient {
    /// Connects, with TLS if the target asks for it.
    pub(super) async fn connect(target: &PostgresTarget) -> Result<DrivenClient, PostgresFailure> {
        let ended = |ended: Result<(), tokio_postgres::Error>| {
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to PostgreSQL has ended");
            }
        };
        let failed = |error: tokio_postgres::Error| PostgresFailure::not_connected(&error);
        let (client, driver) = match &target.tls {
            None => {
                let (client, connection) = target.config.connect(NoTls).await.map_err(failed)?;
                (client, tokio::spawn(async move { ended(connection.await) }))
            }
            Some(tls) => {
                let (client, connection) = target.config.connect(tls.clone()).await.map_err(failed)?;
                (client, tokio::spawn(async move { ended(connection.await) }))
            }
        };
        Ok(DrivenClient { client, driver })
    }
}
