//! Calls for many leases, several at a time.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::iter;

use crate::model::LeaseKey;

use super::SteerError;

/// How many leases are read or changed at the same time: enough that thousands take seconds, and few
/// enough that the renewals of the workers still get their share of the table.
pub(super) const AT_ONCE: usize = 16;

/// Makes a call for each lease, [`AT_ONCE`] at a time. Returns the results in the order of the
/// leases, and the first failure.
///
/// After a failure no call is begun any more, and those that are under way are waited for: it is
/// known then of every lease whether it was changed.
///
/// The calls are boxed, because the compiler cannot prove of an async closure that what it returns
/// may be sent to another thread.
pub(super) async fn for_each<'a, T>(
    leases: &'a [LeaseKey],
    call: impl Fn(&'a LeaseKey) -> BoxFuture<'a, Result<T, SteerError>>,
) -> (Vec<T>, Result<(), SteerError>) {
    let has_failed = AtomicBool::new(false);
    let has_failed = &has_failed;
    let calls: Vec<_> = leases
        .iter()
        .map(|key| {
            let call = call(key);
            async move {
                // Asked when its turn comes: a future does nothing before it is polled.
                if has_failed.load(Ordering::Relaxed) {
                    return None;
                }
                let result = call.await;
                has_failed.fetch_or(result.is_err(), Ordering::Relaxed);
                Some(result)
            }
        })
        .collect();
    let (mut done, mut outcome) = (Vec::with_capacity(leases.len()), Ok(()));
    let mut calls = iter(calls).buffered(AT_ONCE);
    while let Some(result) = calls.next().await {
        match result {
            Some(Ok(value)) => done.push(value),
            Some(Err(error)) => outcome = outcome.and(Err(error)),
            None => {}
        }
    }
    (done, outcome)
}
