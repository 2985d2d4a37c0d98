//! Every command but `serve`: one request, one table.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use fdo_service::cli::voucher_files::{Format, VoucherSink};
use fdo_service::cli::{ApiClient, Output, Table, progress};
use fdo_service::host::clock::Clock;
use fdo_service::transfer::cli;
use fdo_service::transfer::outbox::routes::PushView;
use serde_json::{Value, json};

use super::places::segment;
use super::{Command, CommandError};

type Result<T> = std::result::Result<T, CommandError>;

#[derive(Subcommand)]
pub enum SerialCommand {
    /// Enter serial numbers, or ranges such as FL-0001..FL-0100.
    Add {
        #[arg(required = true)]
        serials: Vec<String>,
        /// Model of these devices; it wins over what a device says of itself.
        #[arg(long)]
        model: Option<String>,
        /// Serial number of the hardware that holds the key.
        #[arg(long)]
        hardware_serial: Option<String>,
        /// Only say what would happen.
        #[arg(long)]
        dry_run: bool,
    },
    /// Enter serial numbers from a CSV with the columns serial, model, hardware_serial.
    Import {
        file: PathBuf,
        #[arg(long)]
        dry_run: bool,
    },
    /// List serial numbers.
    List {
        /// admitted, initialized or blocked.
        #[arg(long)]
        state: Option<String>,
    },
    /// Let a serial number be initialized again; its voucher is blocked for good.
    Release { serial: String },
}

#[derive(Subcommand)]
pub enum DeviceCommand {
    /// List devices that have a voucher.
    List,
    /// Show one device.
    Get { serial: String },
    /// Block a stolen or recalled device.
    Block { serial: String },
    /// Take a block away.
    Unblock { serial: String },
}

#[derive(Subcommand)]
pub enum VoucherCommand {
    /// List vouchers.
    List,
    /// Show a voucher by GUID or serial number.
    Get { id: String },
    /// Download a voucher (as it was after DI, not yet extended) by GUID or serial number.
    Download {
        id: String,
        #[arg(long, value_enum, default_value = "pem")]
        format: VoucherFormat,
        /// File to write; standard output if absent.
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Write vouchers, as they were after DI, to files that another implementation reads.
    Export {
        /// These, by GUID or serial number; all that may be handed out if none is named.
        ids: Vec<String>,
        /// Whose files.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// A folder (if it is one, or ends in a slash), else a file for all of them.
        #[arg(long, value_name = "FOLDER/|FILE")]
        out: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum VoucherFormat {
    Pem,
    Cbor,
}

#[derive(Subcommand)]
pub enum BuyerCommand {
    /// Add a buyer; prints its one-time enrolment code, the identity fingerprint and the claims URL.
    Add {
        name: String,
        /// Take its keys, and where it takes vouchers, from its DID document instead of a code: did:web:.. or did:key:..
        #[arg(long)]
        did: Option<String>,
        /// SHA-256 of the TLS key that its service shows; without it, the public CAs count.
        #[arg(long, requires = "did", value_name = "FINGERPRINT")]
        fingerprint: Option<String>,
    },
    /// Give a buyer the keys of the partner with its name.
    Keys { name: String },
    /// Make another enrolment code for a buyer.
    Code { name: String },
    /// List buyers.
    List,
    /// Show a buyer and its keys.
    Get { name: String },
    /// Stop a buyer: it can neither prove keys nor claim nor download.
    Suspend { name: String },
    /// Let a suspended buyer back in.
    Activate { name: String },
}

#[derive(Args)]
pub struct AllocateArgs {
    serials: Vec<String>,
    /// The buyer; a CSV may name one in each row.
    #[arg(long)]
    buyer: Option<String>,
    /// CSV with the columns serial, buyer, order_ref.
    #[arg(long, value_name = "FILE", conflicts_with = "serials")]
    csv: Option<PathBuf>,
    /// Your reference of the order.
    #[arg(long, value_name = "REFERENCE")]
    order: Option<String>,
    /// Only say what would happen.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Subcommand)]
pub enum AllocationCommand {
    /// List live allocations.
    List,
    /// Take an allocation back; possible until the claim.
    Revoke { serial: String },
}

#[derive(Subcommand)]
pub enum ClaimCommand {
    /// List claims.
    List,
    /// Push a claimed voucher to the partner with its buyer's name.
    Push { guid: String },
}

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Make a token; it is shown once.
    Create {
        name: String,
        /// admin, operator or read-only.
        #[arg(long, default_value = "operator")]
        role: String,
    },
    /// List tokens, without their secrets.
    List,
    /// Take a token back.
    Delete { id: String },
}

const DEVICE: [(&str, &str); 5] =
    [("SERIAL", "serial"), ("MODEL", "model"), ("STATE", "state"), ("GUID", "guid"), ("UPDATED", "updated")];
const VOUCHER: [(&str, &str); 5] =
    [("GUID", "guid"), ("SERIAL", "serial"), ("MODEL", "model"), ("KEY", "key_type"), ("STATE", "state")];
const BUYER: [(&str, &str); 3] = [("NAME", "name"), ("STATE", "state"), ("ID", "id")];
const ALLOCATION: [(&str, &str); 4] =
    [("SERIAL", "serial"), ("BUYER", "buyer"), ("ORDER", "order_ref"), ("CLAIMED", "claimed")];
const CLAIM: [(&str, &str); 4] =
    [("SERIAL", "serial"), ("GUID", "guid"), ("OWNER KEY", "owner_key_fingerprint"), ("DELIVERED", "delivered")];
const TOKEN: [(&str, &str); 4] = [("ID", "id"), ("NAME", "name"), ("ROLE", "role"), ("EXPIRES", "expires")];

pub(super) async fn run(api: &ApiClient, out: Output, command: Command) -> Result<()> {
    match command {
        Command::Serve(_) | Command::Rendezvous(_) => Ok(()), // `run` has done it
        Command::Serial(command) => serial(api, out, command).await,
        Command::Device(command) => device(api, out, command).await,
        Command::Voucher(command) => voucher(api, out, command).await,
        Command::Buyer(command) => buyer(api, out, command).await,
        Command::Allocate(args) => allocate(api, out, args).await,
        Command::Allocation(AllocationCommand::List) => list(api, out, "/api/v1/allocations", &ALLOCATION).await,
        Command::Allocation(AllocationCommand::Revoke { serial }) => {
            api.delete(&format!("/api/v1/allocations/{}", segment(&serial))).await?;
            Ok(out.line(format!("{serial} is no longer allocated"))?)
        }
        Command::Claim(ClaimCommand::List) => list(api, out, "/api/v1/claims", &CLAIM).await,
        Command::Claim(ClaimCommand::Push { guid }) => {
            let path = format!("/api/v1/claims/{}/push", segment(&guid));
            let push: PushView = api.post(&path, &json!({})).await?;
            Ok(out.print(&push, |push| cli::pushes(std::slice::from_ref(push)))?)
        }
        Command::Partner(command) => Ok(cli::partner(&command, api, out, Clock::system().now()).await?),
        Command::Push(command) => Ok(cli::push(&command, api, out).await?),
        Command::Token(command) => token(api, out, command).await,
        Command::Identity => show(out, &api.get("/api/v1/identity").await?),
        Command::Trust => Ok(out.value(&api.get::<Value>("/api/v1/trust").await?)?),
    }
}

async fn serial(api: &ApiClient, out: Output, command: SerialCommand) -> Result<()> {
    match command {
        SerialCommand::Add { serials, model, hardware_serial, dry_run } => {
            let body = json!({
                "serials": serials, "model": model, "hardware_serial": hardware_serial, "dry_run": dry_run
            });
            report(out, &api.post("/api/v1/devices", &body).await?)
        }
        SerialCommand::Import { file, dry_run } => {
            let path = format!("/api/v1/devices/import?dry_run={dry_run}");
            report(out, &api.post_bytes(&path, "text/csv", read(&file)?).await?)
        }
        SerialCommand::List { state } => {
            let query = state.map(|state| format!("?state={}", segment(&state))).unwrap_or_default();
            list(api, out, &format!("/api/v1/devices{query}"), &DEVICE).await
        }
        SerialCommand::Release { serial } => {
            let path = format!("/api/v1/devices/{}/release", segment(&serial));
            one(out, &api.post(&path, &json!({})).await?, &DEVICE)
        }
    }
}

async fn device(api: &ApiClient, out: Output, command: DeviceCommand) -> Result<()> {
    let path = |serial: &str, deed: &str| format!("/api/v1/devices/{}{deed}", segment(serial));
    let device: Value = match command {
        DeviceCommand::List => return list(api, out, "/api/v1/devices?state=initialized", &DEVICE).await,
        DeviceCommand::Get { serial } => api.get(&path(&serial, "")).await?,
        DeviceCommand::Block { serial } => api.post(&path(&serial, "/block"), &json!({})).await?,
        DeviceCommand::Unblock { serial } => api.post(&path(&serial, "/unblock"), &json!({})).await?,
    };
    one(out, &device, &DEVICE)
}

async fn voucher(api: &ApiClient, out: Output, command: VoucherCommand) -> Result<()> {
    let path = |id: &str| format!("/api/v1/vouchers/{}", segment(id));
    match command {
        VoucherCommand::List => list(api, out, "/api/v1/vouchers", &VOUCHER).await,
        VoucherCommand::Get { id } => show(out, &api.get(&path(&id)).await?),
        VoucherCommand::Download { id, format, output } => {
            let accept = match format {
                VoucherFormat::Pem => "application/x-pem-file",
                VoucherFormat::Cbor => "application/x-fdo-voucher",
            };
            let bytes = api.get_bytes(&path(&id), accept).await?;
            match output {
                None => Ok(out.bytes(&bytes)?),
                Some(path) => {
                    std::fs::write(&path, bytes)
                        .map_err(|source| CommandError::File { path: path.clone(), source })?;
                    Ok(out.line(format!("written to {}", path.display()))?)
                }
            }
        }
        VoucherCommand::Export { ids, format, out: place } => export(api, out, ids, format, &place).await,
    }
}

async fn export(api: &ApiClient, out: Output, ids: Vec<String>, format: Format, place: &Path) -> Result<()> {
    let mut sink = VoucherSink::open(format, place)?;
    let bar = progress::bar(ids.len() as u64, "exporting");
    let (mut count, mut cursor, all) = (0_u64, None, ids.is_empty());
    let mut batch = ids;
    loop {
        if all {
            let page = api.page::<Value>("/api/v1/vouchers", cursor.as_deref()).await?;
            let active = page.items.iter().filter(|voucher| voucher["state"] == "active");
            batch = active.filter_map(|voucher| voucher["guid"].as_str().map(ToOwned::to_owned)).collect();
            bar.inc_length(batch.len() as u64);
            cursor = page.next;
        }
        for id in &batch {
            let path = format!("/api/v1/vouchers/{}", segment(id));
            sink.put(&api.get_bytes(&path, "application/x-fdo-voucher").await?)?;
            bar.inc(1);
            count += 1;
        }
        if cursor.is_none() {
            break;
        }
    }
    sink.close()?;
    bar.finish_and_clear();
    if out.json {
        return Ok(out.value(&json!({ "exported": count, "format": format.to_string(), "out": place }))?);
    }
    Ok(out.line(format!("{count} vouchers written to {}", place.display()))?)
}

async fn buyer(api: &ApiClient, out: Output, command: BuyerCommand) -> Result<()> {
    let path = |name: &str, deed: &str| format!("/api/v1/buyers/{}{deed}", segment(name));
    match command {
        BuyerCommand::Add { name, did: Some(did), fingerprint } => {
            let partner = json!({ "name": name, "did": did, "fingerprint": fingerprint });
            let _: Value = api.post("/api/v1/partners", &partner).await?;
            let _: Value = api.post("/api/v1/buyers", &json!({ "name": name })).await?;
            show(out, &api.post(&path(&name, "/keys"), &json!({})).await?)
        }
        BuyerCommand::Keys { name } => show(out, &api.post(&path(&name, "/keys"), &json!({})).await?),
        BuyerCommand::Add { name, .. } => code(out, &api.post("/api/v1/buyers", &json!({ "name": name })).await?),
        BuyerCommand::Code { name } => code(out, &api.post(&path(&name, "/code"), &json!({})).await?),
        BuyerCommand::List => list(api, out, "/api/v1/buyers", &BUYER).await,
        BuyerCommand::Get { name } => show(out, &api.get(&path(&name, "")).await?),
        BuyerCommand::Suspend { name } => one(out, &api.post(&path(&name, "/suspend"), &json!({})).await?, &BUYER),
        BuyerCommand::Activate { name } => {
            one(out, &api.post(&path(&name, "/activate"), &json!({})).await?, &BUYER)
        }
    }
}

async fn allocate(api: &ApiClient, out: Output, args: AllocateArgs) -> Result<()> {
    if let Some(file) = &args.csv {
        let buyer = args.buyer.map(|buyer| format!("&buyer={}", segment(&buyer))).unwrap_or_default();
        let path = format!("/api/v1/allocations/import?dry_run={}{buyer}", args.dry_run);
        return report(out, &api.post_bytes(&path, "text/csv", read(file)?).await?);
    }
    if args.serials.is_empty() {
        return Err(CommandError::NoSerials);
    }
    let body = json!({
        "buyer": args.buyer.unwrap_or_default(), "serials": args.serials,
        "order_ref": args.order, "dry_run": args.dry_run
    });
    report(out, &api.post("/api/v1/allocations", &body).await?)
}

async fn token(api: &ApiClient, out: Output, command: TokenCommand) -> Result<()> {
    match command {
        TokenCommand::Create { name, role } => {
            show(out, &api.post("/api/v1/tokens", &json!({ "name": name, "role": role })).await?)
        }
        TokenCommand::List => list(api, out, "/api/v1/tokens", &TOKEN).await,
        TokenCommand::Delete { id } => {
            api.delete(&format!("/api/v1/tokens/{}", segment(&id))).await?;
            Ok(out.line("the token is deleted")?)
        }
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| CommandError::File { path: path.clone(), source })
}

async fn list(api: &ApiClient, out: Output, path: &str, columns: &[(&str, &str)]) -> Result<()> {
    let rows: Vec<Value> = api.pages(path).await?;
    Ok(out.print(&rows, |rows| table(rows, columns))?)
}

fn one(out: Output, value: &Value, columns: &[(&str, &str)]) -> Result<()> {
    Ok(out.print(value, |value| table(std::slice::from_ref(value), columns))?)
}

/// Each member on a line of its own.
fn show(out: Output, value: &Value) -> Result<()> {
    Ok(out.print(value, |value| {
        let members = value.as_object().into_iter().flatten();
        members
            .fold(Table::new(&["FIELD", "VALUE"]), |table, (name, value)| table.row([name.clone(), text(value)]))
    })?)
}

fn code(out: Output, value: &Value) -> Result<()> {
    if out.json {
        return Ok(out.value(value)?);
    }
    out.line(format!("Buyer {} may enrol its owner keys once, within 7 days:", text(&value["buyer"]["name"])))?;
    out.line(format!("  enrolment code        {}", text(&value["code"])))?;
    out.line(format!("  identity fingerprint  {}", text(&value["identity_fingerprint"])))?;
    out.line(format!("  claims URL            {}", text(&value["claims_url"])))?;
    Ok(out.line(format!("The buyer runs: fdo-owner manufacturer add {}", text(&value["claims_url"])))?)
}

/// What a list came to; a list that was refused is a failed command.
fn report(out: Output, value: &Value) -> Result<()> {
    let notes = value["notes"].as_array().cloned().unwrap_or_default();
    let number = |name: &str| value[name].as_u64().unwrap_or_default();
    if out.json {
        out.value(value)?;
    } else {
        if !notes.is_empty() {
            let columns = [("LINE", "line"), ("SERIAL", "serial"), ("CODE", "code"), ("REASON", "reason")];
            out.print(&notes, |notes| table(notes, &columns))?;
        }
        let (new, known, refused) = (number("accepted"), number("known"), number("refused"));
        let state = if value["dry_run"] == true { " (dry run, nothing changed)" } else { "" };
        out.line(format!("{new} new, {known} known already, {refused} refused{state}"))?;
    }
    if number("refused") > 0 { Err(CommandError::ListRefused(number("refused"))) } else { Ok(()) }
}

fn table(rows: &[Value], columns: &[(&str, &str)]) -> Table {
    let head: Vec<_> = columns.iter().map(|(head, _)| *head).collect();
    rows.iter()
        .fold(Table::new(&head), |table, row| table.row(columns.iter().map(|(_, member)| text(&row[*member]))))
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
