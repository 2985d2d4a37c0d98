//! TO1, 30 to 33: where is the owner.

use fdo_http::{BaseUrl, ServerTrust};
use fdo_protocol::Guid;
use fdo_protocol::to1::device::{self, Redirect};

use crate::agent::{Agent, Run, RunError, Secrets};
use crate::transport::Transport;

impl<T: Transport> Agent<T> {
    pub(super) async fn to1(&self, guid: Guid, base: &BaseUrl, trust: &ServerTrust) -> Result<Redirect, RunError> {
        let mut run = self.open(base, trust)?;
        let outcome = self.ask_rendezvous(&mut run, guid).await;
        self.conclude(&run, outcome).await
    }

    async fn ask_rendezvous(&self, run: &mut Run<T::Channel>, guid: Guid) -> Result<Redirect, RunError> {
        // TO1 needs the key alone.
        let secrets = Secrets::new(self.store.device_key()?.into(), zeroize::Zeroizing::default());
        let (request, state) = device::begin(guid, secrets.key_type());
        let reply = run.exchange(&request).await?;
        let (request, state) = state.hello_rv_ack(&reply, &secrets)?;
        let reply = run.exchange(&request).await?;
        Ok(state.rv_redirect(&reply)?)
    }
}
