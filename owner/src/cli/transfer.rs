//! `fdo-owner voucher pull`, `fdo-owner voucher resell --to did:..`, and `fdo-owner resale push`.

use fdo_service::cli::{ApiClient, Output, Table};
use fdo_service::transfer::cli::pushes;
use fdo_service::transfer::outbox::routes::PushView;

use super::{Error, escaped};
use crate::transfer::desk::routes::{IntroductionView, NewPull, NewPush, NewTransfer, PullView, TransferView};

pub(super) async fn pull(from: &str, api: &ApiClient, output: Output) -> Result<(), Error> {
    let pulled: PullView = api.post("/api/v1/pulls", &NewPull { from: from.to_owned() }).await?;
    output.print(&pulled, |pulled| {
        let head = Table::new(&["VOUCHER", "STATUS", "WHY"]);
        let table = pulled.imported.iter().fold(head, |table, guid| table.row([guid.as_str(), "imported", "-"]));
        pulled
            .refused
            .iter()
            .fold(table, |table, refused| table.row([refused.voucher_id.as_str(), "refused", &refused.detail]))
    })?;
    if !output.json {
        let (imported, known) = (pulled.imported.len(), pulled.known);
        output.line(format!("{imported} imported from {}, {known} were here already", pulled.supplier))?;
    }
    let (refused, new) = (pulled.refused.len(), pulled.imported.len());
    if refused == 0 { Ok(()) } else { Err(Error::Incomplete { refused, total: refused + new }) }
}

/// Sells to a partner or a did:key.
pub(super) async fn sell(
    name: &str,
    new: NewTransfer,
    api: &ApiClient,
    output: Output,
) -> Result<TransferView, Error> {
    let path = format!("/api/v1/vouchers/{}/transfer", escaped(name));
    let transfer: TransferView = api.post(&path, &new).await?;
    if let (Some(push), false) = (&transfer.push, output.json) {
        output.line(format!("{} is pushed to the partner {}: `fdo-owner push list`", push.guid, push.partner))?;
    }
    Ok(transfer)
}

pub(super) async fn push(guid: &str, to: &str, api: &ApiClient, output: Output) -> Result<(), Error> {
    let path = format!("/api/v1/resales/{}/push", escaped(guid));
    let push: PushView = api.post(&path, &NewPush { to: to.to_owned() }).await?;
    Ok(output.print(&push, |push| pushes(std::slice::from_ref(push)))?)
}

pub(super) async fn introduce(api: &ApiClient, output: Output) -> Result<(), Error> {
    let us: IntroductionView = api.get("/api/v1/transfer").await?;
    Ok(output.print(&us, |us| {
        let pin = us.tls_fingerprint.as_deref().unwrap_or("by its CA");
        Table::new(&["WHAT PARTNERS ARE TOLD", "VALUE"])
            .row(["listening", if us.listening { "yes" } else { "no: set `transfer.address`" }])
            .row(["DID", &us.did])
            .row(["push URL", &us.push_root])
            .row(["pull URL", &us.pull_root])
            .row(["TLS fingerprint", pin])
    })?)
}
