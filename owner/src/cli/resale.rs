//! `fdo-owner voucher resell`, and `fdo-owner resale list|get|download|push|confirm|cancel`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use fdo_protocol::voucher::Voucher;
use fdo_service::cli::{ApiClient, CliError, Output, Table};

use super::{Error, at, escaped, read_file, transfer};
use crate::resale::routes::{NewResale, ResaleView};
use crate::transfer::desk::routes::NewTransfer;

#[derive(Debug, Args)]
#[command(after_help = "\
From then on the device is neither registered nor onboarded here, and its certificates are revoked. It is forgotten only \
when you say that the new owner has it (`fdo-owner resale confirm`). Until something of the voucher has left (--out, or \
`fdo-owner resale download`) the sale can be cancelled. Asked again, the same voucher comes again.")]
pub(super) struct Resell {
    #[arg(value_name = "SERIAL OR GUID")]
    name: String,
    /// The new owner's public key or certificate in PEM, a did:key:.., or the DID of a partner; to a partner that takes
    /// pushes the voucher is pushed.
    #[arg(long, value_name = "KEY.pem|CERT.pem|DID", required_unless_present = "to_partner")]
    to: Option<String>,
    /// The name of a partner instead.
    #[arg(long, value_name = "PARTNER", conflicts_with = "to")]
    to_partner: Option<String>,
    /// Sell it although it was never onboarded here.
    #[arg(long)]
    even_if_never_onboarded: bool,
    /// Hand the extended voucher over at once: write it to this file, PEM.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All sales.
    List {
        /// sold, handed-over or delivered.
        #[arg(long)]
        state: Option<String>,
    },
    /// One sale.
    Get { guid: String },
    /// Hand the extended voucher over: write it as PEM to standard output. Then the sale can no longer be cancelled.
    Download {
        guid: String,
        /// As CBOR.
        #[arg(long)]
        cbor: bool,
        /// To this file.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Push the extended voucher to a partner, until it has it; then the sale is confirmed.
    Push {
        guid: String,
        /// The partner's name, id or DID.
        #[arg(long)]
        to: String,
    },
    /// Say that the new owner has the voucher: the device is forgotten here.
    Confirm { guid: String },
    /// Call a sale off, while nothing of its voucher has left.
    Cancel { guid: String },
}

pub(super) async fn resell(args: &Resell, api: &ApiClient, output: Output) -> Result<(), Error> {
    let even_if_never_onboarded = args.even_if_never_onboarded;
    let to = args.to.clone().unwrap_or_default();
    let partner = args.to_partner.clone().or_else(|| to.starts_with("did:").then(|| to.clone()));
    let mut sale: ResaleView = match partner {
        Some(to) => {
            let new = NewTransfer { to, even_if_never_onboarded };
            transfer::sell(&args.name, new, api, output).await?.sale
        }
        None => {
            let to = String::from_utf8_lossy(&read_file(Path::new(&to))?).into_owned();
            let path = format!("/api/v1/vouchers/{}/resell", escaped(&args.name));
            api.post(&path, &NewResale { to, even_if_never_onboarded }).await?
        }
    };
    if let Some(out) = &args.out {
        sale = hand_over(&sale.guid, api).await?;
        write(out, pem_of(&sale)?.as_bytes())?;
        sale.voucher = None;
    }
    Ok(output.print(&sale, |sale| table(std::slice::from_ref(sale)))?)
}

pub(super) async fn run(command: &Command, api: &ApiClient, output: Output) -> Result<(), Error> {
    match command {
        Command::List { state } => {
            let query = state.as_ref().map(|state| format!("?state={}", escaped(state))).unwrap_or_default();
            let all: Vec<ResaleView> = api.pages(&format!("/api/v1/resales{query}")).await?;
            Ok(output.print(&all, |all| table(all))?)
        }
        Command::Get { guid } => {
            let sale: ResaleView = api.get(&format!("/api/v1/resales/{}", escaped(guid))).await?;
            Ok(output.print(&sale, |sale| table(std::slice::from_ref(sale)))?)
        }
        Command::Download { guid, cbor, out } => {
            let sale = hand_over(guid, api).await?;
            let pem = pem_of(&sale)?;
            let bytes = if *cbor { cbor_of(pem)? } else { pem.as_bytes().to_vec() };
            match out {
                Some(path) => write(path, &bytes),
                None => Ok(output.bytes(&bytes)?),
            }
        }
        Command::Push { guid, to } => transfer::push(guid, to, api, output).await,
        Command::Confirm { guid } => {
            let sale: ResaleView = api.post(&format!("/api/v1/resales/{}/confirm", escaped(guid)), &()).await?;
            Ok(output.print(&sale, |sale| table(std::slice::from_ref(sale)))?)
        }
        Command::Cancel { guid } => {
            let () = api.post(&format!("/api/v1/resales/{}/cancel", escaped(guid)), &()).await?;
            Ok(output
                .line(format!("{guid} is not sold; its certificates stay revoked until it is onboarded again"))?)
        }
    }
}

async fn hand_over(guid: &str, api: &ApiClient) -> Result<ResaleView, CliError> {
    api.post(&format!("/api/v1/resales/{}/hand-over", escaped(guid)), &()).await
}

fn pem_of(sale: &ResaleView) -> Result<&str, CliError> {
    sale.voucher.as_deref().ok_or_else(|| CliError::Answer("it holds no voucher".to_owned()))
}

fn cbor_of(pem: &str) -> Result<Vec<u8>, CliError> {
    let bodies = Voucher::bodies_in_file(pem.as_bytes());
    bodies.ok().and_then(|mut bodies| bodies.pop()).ok_or_else(|| CliError::Answer("it is no voucher".to_owned()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    std::fs::write(path, bytes).map_err(|source| Error::File { path: path.to_owned(), source })
}

fn table(sales: &[ResaleView]) -> Table {
    let head = Table::new(&[
        "SERIAL",
        "GUID",
        "STATE",
        "TO THE KEY",
        "ONBOARDED HERE",
        "SOLD",
        "HANDED OVER",
        "DELIVERED",
    ]);
    let time = |seconds: Option<u64>| seconds.map_or_else(|| "-".to_owned(), at);
    sales.iter().fold(head, |table, sale| {
        let onboarded = if sale.onboarded { "yes" } else { "never" };
        let next: String = sale.next_key.chars().take(16).collect();
        let (sold, left, delivered) = (at(sale.sold), time(sale.handed_over), time(sale.delivered));
        let serial = sale.serial.as_deref().unwrap_or("-");
        table.row([serial, &sale.guid, sale.state.name(), &next, onboarded, &sold, &left, &delivered])
    })
}
