//! The certificate by which a backend knows the gateway.

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder};
use std::fmt;
use std::sync::Arc;

/// A certificate chain and its key, as PEM. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientIdentity {
    chain_pem: Arc<[u8]>,
    key_pem: Arc<[u8]>,
}

impl ClientIdentity {
    /// The gateway's own certificate first.
    pub fn new(chain_pem: impl Into<Arc<[u8]>>, key_pem: impl Into<Arc<[u8]>>) -> ClientIdentity {
        ClientIdentity { chain_pem: chain_pem.into(), key_pem: key_pem.into() }
    }

    /// A configuration that shows it to whoever asks.
    ///
    /// # Errors
    /// One sentence, without any of either file: something cannot be read, or the key is another certificate's.
    pub(super) fn shown_by(
        &self,
        config: ConfigBuilder<ClientConfig, WantsClientCert>,
    ) -> Result<ClientConfig, String> {
        let chain = CertificateDer::pem_slice_iter(&self.chain_pem).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|_| "the client certificate cannot be read")?;
        let key =
            PrivateKeyDer::from_pem_slice(&self.key_pem).map_err(|_| "the client key cannot be read")?;
        config
            .with_client_auth_cert(chain, key)
            .map_err(|_| "the client key is not the key of the client certificate".into())
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
