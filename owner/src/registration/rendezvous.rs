//! One TO0 (20 to 23) with one rendezvous, over addresses that the outbound guard has let pass.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::sync::PoisonError;
use std::time::Duration;

use fdo_http::{BaseUrl, Client, Retry, ServerTrust, Settings};
use fdo_protocol::rendezvous_info::{Hop, HopAddress};
use fdo_protocol::to0::owner;
use fdo_protocol::voucher::VerifiedVoucher;

use crate::app::App;
use crate::redirect;

/// Clients that are kept for their open connections; beyond so many the map begins anew.
const CLIENTS: usize = 64;

/// Why it did not work.
pub(super) struct Failure {
    pub text: String,
    /// Nobody answered, so that it would not answer for another voucher either.
    pub unreachable: bool,
}

impl Failure {
    fn of(error: &(dyn StdError + 'static), unreachable: bool) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self { text, unreachable }
    }
}

/// Registers at the first address of a rendezvous that accepts. Gives the seconds that it granted.
pub(super) async fn register(app: &App, hop: &Hop, voucher: &VerifiedVoucher) -> Result<u32, Failure> {
    let mut last = Failure { text: "the rendezvous has no usable address".to_owned(), unreachable: false };
    for address in &hop.addresses {
        match register_at(app, hop, address, voucher).await {
            Ok(granted) => return Ok(granted),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

async fn register_at(
    app: &App,
    hop: &Hop,
    address: &HopAddress,
    voucher: &VerifiedVoucher,
) -> Result<u32, Failure> {
    let base = BaseUrl::from(address);
    let host = address.host.to_string();
    let resolved = app.guard.resolve(&host, address.port).await;
    let resolved = resolved.map_err(|error| Failure::of(&error, false))?;
    let client = client(app, hop, &base, &resolved).map_err(|error| Failure::of(&error, false))?;
    exchange(app, &client, &base, voucher).await.map_err(|error| Failure::of(&error, error.is_network()))
}

async fn exchange(
    app: &App,
    client: &Client,
    base: &BaseUrl,
    voucher: &VerifiedVoucher,
) -> Result<u32, fdo_http::Error> {
    let unowned = fdo_protocol::Error::from(fdo_protocol::VoucherFault::NotTheOwner);
    let key = app.keys.owning(voucher.owner_key()).ok_or(unowned)?;
    let public = redirect::current(&app.db, &app.settings).await;
    let public = public.map_err(|error| fdo_http::Error::Settings(error.to_string()))?;
    let asked = app.settings.registration.wait_seconds();
    let mut run = client.conversation(base);
    let (hello, state) = owner::begin();
    let body = run.exchange(&hello).await?;
    let (sign, state) = state.hello_ack(&body, voucher, key, public, asked)?;
    let body = run.exchange(&sign).await?;
    Ok(state.accept_owner(&body)?.min(asked))
}

fn client(app: &App, hop: &Hop, base: &BaseUrl, addresses: &[SocketAddr]) -> Result<Client, fdo_http::Error> {
    let trust = match (&hop.server_certificate, &hop.ca_certificate) {
        (Some(hash), _) => ServerTrust::Certificate(hash.clone()),
        (None, Some(hash)) => ServerTrust::AuthorityHash(hash.clone()),
        (None, None) => ServerTrust::Any,
    };
    let key = format!("{base} {addresses:?} {:?} {:?}", hop.server_certificate, hop.ca_certificate);
    let mut clients = app.registrar.clients.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(client) = clients.get(&key) {
        return Ok(client.clone());
    }
    // The job repeats what failed by its own clock.
    let settings = Settings {
        connect_timeout: Duration::from_secs(5),
        total_timeout: Duration::from_secs(20),
        trust,
        retry: Retry::NEVER,
        ..Settings::default()
    };
    let client = Client::new(&settings)?.resolved(base, addresses)?;
    if clients.len() >= CLIENTS {
        clients.clear();
    }
    clients.insert(key, client.clone());
    Ok(client)
}
