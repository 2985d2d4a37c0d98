//! A device as `astarte-device-fdo` makes one: P-256, ECDH256, A256GCM, SHA-256, devmod and no other module.

use std::path::Path;
use std::sync::Arc;

use astarte_device_fdo::Ctx;
use astarte_device_fdo::astarte_fdo_protocol::Error;
use astarte_device_fdo::astarte_fdo_protocol::v101::device_credentials::DeviceCredential;
use astarte_device_fdo::astarte_fdo_protocol::v101::to1::rv_redirect::RvRedirect;
use astarte_device_fdo::client::http::InitialClient;
use astarte_device_fdo::crypto::software::SoftwareCrypto;
use astarte_device_fdo::di::Di;
use astarte_device_fdo::rustls::crypto::aws_lc_rs;
use astarte_device_fdo::rustls::{ClientConfig, Error as TlsError, RootCertStore};
use astarte_device_fdo::srv_info::SkipServiceInfo;
use astarte_device_fdo::to1::To1;
use astarte_device_fdo::to2::To2;
use astarte_device_fdo::url::{ParseError, Url};
use fdo_http::BaseUrl;
use fdo_protocol::Guid;

use crate::storage::Folder;

/// Why a foreign device did not get on.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    #[error("the device was not initialized")]
    NotInitialized,
    #[error(transparent)]
    Library(#[from] Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Url(#[from] ParseError),
}

/// What TO1 gave: the owner's signed addresses.
#[derive(Clone, Debug)]
pub struct Redirect(RvRedirect);

/// One device; its key and its credential are files in a folder.
#[derive(Clone, Debug)]
pub struct ForeignDevice {
    folder: Folder,
    serial: String,
    credential_reuse: bool,
}

impl ForeignDevice {
    pub fn new(dir: &Path, serial: &str) -> Self {
        Self { folder: Folder::new(dir.to_owned()), serial: serial.to_owned(), credential_reuse: false }
    }

    /// Lets the owner keep the device's credential as it is.
    #[must_use]
    pub fn with_credential_reuse(mut self) -> Self {
        self.credential_reuse = true;
        self
    }

    /// DI, 10 to 13; nothing if the device has a credential.
    pub async fn init(&self, manufacturer: &BaseUrl, model: &str) -> Result<Guid, ForeignError> {
        let client = InitialClient::create(Url::parse(&manufacturer.to_string())?, tls()?)?;
        let (mut crypto, mut storage) = self.parts().await?;
        let mut ctx = Ctx::new(&mut crypto, &mut storage, tls()?);
        let di = Di::create(&mut ctx, client, model, &self.serial).await?;
        Ok(guid(&di.create_credentials(&mut ctx).await?))
    }

    /// TO1, 30 to 33.
    pub async fn find_owner(&self) -> Result<Redirect, ForeignError> {
        let (mut crypto, mut storage) = self.parts().await?;
        let mut ctx = Ctx::new(&mut crypto, &mut storage, tls()?);
        let credential = self.credential().await?;
        Ok(Redirect(To1::new(&credential).rv_owner(&mut ctx).await?))
    }

    /// TO2, 60 to 71, with the owner that TO1 named; the GUID that the device has from then on.
    pub async fn meet_owner(&self, redirect: Redirect) -> Result<Guid, ForeignError> {
        let (mut crypto, mut storage) = self.parts().await?;
        let mut ctx = Ctx::new(&mut crypto, &mut storage, tls()?);
        let credential = self.credential().await?;
        let mut to2 = To2::create(credential, redirect.0, &self.serial, SkipServiceInfo::default())?;
        if self.credential_reuse {
            to2.enable_credential_reuse();
        }
        let (to2, ()) = to2.to2_change(&mut ctx).await?;
        to2.done(&mut ctx).await?;
        self.guid().await
    }

    /// TO1 and TO2.
    pub async fn onboard(&self) -> Result<Guid, ForeignError> {
        let redirect = self.find_owner().await?;
        self.meet_owner(redirect).await
    }

    /// Who the device is now.
    pub async fn guid(&self) -> Result<Guid, ForeignError> {
        Ok(guid(&self.credential().await?))
    }

    async fn parts(&self) -> Result<(SoftwareCrypto<Folder>, Folder), ForeignError> {
        Ok((SoftwareCrypto::create(self.folder.clone()).await?, self.folder.clone()))
    }

    async fn credential(&self) -> Result<DeviceCredential<'static>, ForeignError> {
        let (mut crypto, mut storage) = self.parts().await?;
        let mut ctx = Ctx::new(&mut crypto, &mut storage, tls()?);
        Di::read_existing(&mut ctx).await?.ok_or(ForeignError::NotInitialized)
    }
}

/// The services in these tests speak plain HTTP, so nobody is trusted.
fn tls() -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?;
    Ok(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn guid(credential: &DeviceCredential<'_>) -> Guid {
    Guid::from_bytes(**credential.dc_guid)
}
