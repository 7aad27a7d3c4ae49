//! The additional tables of a KCL from 3.0 to 3.4.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use kcl_core::lease::Error;

use crate::call::{Action, say};
use crate::item::attribute::{CLIENT_VERSION, LAST_UPDATE, MIGRATION_KEY};
use crate::item::{Reader, text};

use super::Evidence;

/// Adds what the two additional tables of a KCL from 3.0 to 3.4 show:
/// `APPLICATION-CoordinatorState` and `APPLICATION-WorkerMetricStats`. They are only read and never
/// created, because a KCL 3.5 that finds them works in the old way.
///
/// A table that does not exist is the usual case and no error.
///
/// # Errors
/// Those of a read. Missing permissions are among them: whether such tables exist must be known
/// before anything is written.
pub(crate) async fn legacy_versions(
    client: &Client,
    application: &str,
    evidence: &mut Evidence,
) -> Result<(), Error> {
    let table = format!("{application}-CoordinatorState");
    let call = client
        .get_item()
        .table_name(&table)
        .key("key", text(MIGRATION_KEY))
        .consistent_read(true);
    match call.send().await {
        Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(()),
        Err(error) => return Err(say(Action::GetItem, &table, &error).1),
        Ok(answer) => {
            evidence.legacy_table = true;
            if let Some(item) = answer.item {
                evidence.client_version =
                    Reader(&item).text(CLIENT_VERSION)?.map(ToOwned::to_owned);
            }
        }
    }
    let table = format!("{application}-WorkerMetricStats");
    let mut start = None;
    loop {
        let call = client
            .scan()
            .table_name(&table)
            .set_exclusive_start_key(start);
        let page = match call.send().await {
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(()),
            Err(error) => return Err(say(Action::Scan, &table, &error).1),
            Ok(page) => page,
        };
        for item in page.items.unwrap_or_default() {
            let reader = Reader(&item);
            if let (Ok(Some(worker)), false) = (reader.text("wid"), reader.is_our_worker()) {
                let at = reader.number(LAST_UPDATE).ok().flatten().unwrap_or(0);
                evidence.metrics.insert(worker.to_owned(), at);
            }
        }
        start = page.last_evaluated_key.filter(|key| !key.is_empty());
        if start.is_none() {
            return Ok(());
        }
    }
}
