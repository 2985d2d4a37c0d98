//! `fdo-owner voucher export`: vouchers into files that go-fdo-server, pri-fidoiot or fido-device-onboard-rs reads.

use std::path::PathBuf;

use clap::Args;
use fdo_service::cli::voucher_files::{Format, VoucherSink};
use fdo_service::cli::{ApiClient, Output, progress};
use futures_util::{StreamExt, TryStreamExt};

use super::{Error, escaped};
use crate::vouchers::State;
use crate::vouchers::routes::{CBOR, VoucherView};

/// How many are fetched at a time.
const PARALLEL: usize = 8;

#[derive(Debug, Args)]
#[command(after_help = "\
What is written ends in a key of this owner: it is a copy, good for the same owner elsewhere. To hand a device to somebody \
else, sell it with `fdo-owner voucher resell`.")]
pub(super) struct Export {
    /// These; all that are imported or onboarded if none is named.
    guids: Vec<String>,
    /// Whose files.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// A folder (if it is one, or ends in a slash), else a file for all of them.
    #[arg(long, value_name = "FOLDER/|FILE")]
    out: PathBuf,
    /// Only those in this state.
    #[arg(long, conflicts_with = "guids")]
    state: Option<String>,
}

pub(super) async fn run(args: &Export, api: &ApiClient, output: Output) -> Result<(), Error> {
    let mut sink = VoucherSink::open(args.format, &args.out)?;
    let bar = progress::bar(args.guids.len() as u64, "exporting");
    let mut count = 0_u64;
    if args.guids.is_empty() {
        let path = match &args.state {
            Some(state) => format!("/api/v1/vouchers?state={}", escaped(state)),
            None => "/api/v1/vouchers".to_owned(),
        };
        let mut cursor = None;
        loop {
            let page = api.page::<VoucherView>(&path, cursor.as_deref()).await?;
            let wanted = |voucher: &VoucherView| {
                args.state.is_some() || matches!(voucher.state, State::Imported | State::Onboarded)
            };
            let guids: Vec<String> = page.items.into_iter().filter(wanted).map(|voucher| voucher.guid).collect();
            bar.inc_length(guids.len() as u64);
            count += fetch(&guids, api, &mut sink, &|| bar.inc(1)).await?;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
    } else {
        count = fetch(&args.guids, api, &mut sink, &|| bar.inc(1)).await?;
    }
    sink.close()?;
    bar.finish_and_clear();
    let told = serde_json::json!({ "exported": count, "format": args.format.to_string(), "out": args.out });
    if output.json {
        return Ok(output.value(&told)?);
    }
    Ok(output.line(format!("{count} vouchers written to {}", args.out.display()))?)
}

async fn fetch(
    guids: &[String],
    api: &ApiClient,
    sink: &mut VoucherSink,
    told: &(dyn Fn() + Sync),
) -> Result<u64, Error> {
    let paths = guids.iter().map(|guid| format!("/api/v1/vouchers/{}/download", escaped(guid)));
    let fetched = futures_util::stream::iter(paths)
        .map(|path| async move { api.get_bytes(&path, CBOR).await })
        .buffered(PARALLEL);
    futures_util::pin_mut!(fetched);
    let mut count = 0;
    while let Some(cbor) = fetched.try_next().await? {
        sink.put(&cbor)?;
        told();
        count += 1;
    }
    Ok(count)
}
