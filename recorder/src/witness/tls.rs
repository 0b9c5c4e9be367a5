//! TLS for the witness: a certificate chain and its key from files, read at the start.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::WitnessError;

/// What a server needs to speak TLS 1.2 and 1.3.
pub(super) fn load(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, WitnessError> {
    let wrong = |path: &Path, error: &dyn std::fmt::Display| WitnessError::Tls {
        path: path.to_owned(),
        what: error.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(certificate, &error))?;
    if chain.is_empty() {
        return Err(wrong(certificate, &"there is no certificate in it"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map(Arc::new)
        .map_err(|error| wrong(certificate, &error))
}
