use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::decide::outage::TableCall;
use crate::decide::settle::{Settled, settle};
use crate::model::{Lease, LeaseKey, Moment, WorkerId};
use crate::runtime::{Clock, jitter, pause, within};

use super::issued_tokens::IssuedTokens;
use super::table_health::TableHealth;
use crate::BoxError;
use crate::lease::malformed::Malformed;
use crate::lease::{
    Consistency, Error, LeaseTable, MalformedRow, ScanPage, WorkerRow, Write, with_causes,
};

/// Carries writes out until it is known what became of them.
#[derive(Clone, Debug)]
pub(crate) struct TableClient {
    /// Its calls are not bounded in time, so they go through [`read`](Self::read) and
    /// [`write`](Self::write).
    pub(crate) table: Arc<dyn LeaseTable>,
    /// All limits are measured on it, and validity too.
    pub(crate) clock: Arc<dyn Clock>,
    /// How long one call may take; one that takes longer counts as unanswered.
    pub(crate) call_limit: Duration,
    /// The tokens of this process: they are issued with the writes that begin tenancies.
    pub(crate) begun: IssuedTokens,
    /// Hears that a write on a lease does not go through, well before its time is over.
    trouble: ErrorListener,
    /// The rows that cannot be read, by every answer of the table.
    pub(crate) malformed: Malformed,
    /// How its calls go.
    pub(crate) health: TableHealth,
}

/// Who hears of trouble: which lease it is, and what was said.
#[derive(Clone)]
struct ErrorListener(Arc<Hears>);

type Hears = dyn Fn(&LeaseKey, Arc<str>) + Send + Sync;

impl fmt::Debug for ErrorListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trouble")
    }
}

/// What became of a write that was pursued.
#[derive(Debug)]
pub(crate) enum WriteOutcome {
    /// It is stored. `sent` is the moment before the *first* try: validity counts from there.
    /// Without an acknowledgement, what the row shows may be the work of an earlier write that was
    /// given up.
    Stored {
        row: Lease,
        sent: Moment,
        acknowledged: bool,
    },
    /// The row as it is now asks for no such write any more.
    Superseded,
    /// Somebody edited the checkpoint of the row, which is ours.
    Edited,
    /// The lease is somebody else's: this is its row.
    Lost(Box<Lease>),
    /// There is no row.
    Vanished,
    /// The row cannot be read.
    Malformed(Box<MalformedRow>),
    /// The time ran out and nobody knows. It may still be carried out, as if it had just been sent
    /// at `sent`.
    Unsettled { error: Error, sent: Moment },
    /// The table cannot be used.
    Broken(Error),
}

/// How often a call is made that is wanted soon: the last one has a quarter of its time when the
/// first one is given up.
const TRIES_SOON: u32 = 4;

/// The first pause between two tries; it doubles up to the call limit.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(20);

impl TableClient {
    pub(crate) fn new(
        table: Arc<dyn LeaseTable>,
        clock: Arc<dyn Clock>,
        call_limit: Duration,
    ) -> Self {
        Self {
            table,
            clock,
            call_limit,
            begun: IssuedTokens::default(),
            trouble: ErrorListener(Arc::new(|_, _| {})),
            malformed: Malformed::default(),
            health: TableHealth::default(),
        }
    }

    /// The same, which says when a write on a lease has not gone through for a third of its time.
    pub(crate) fn telling(
        self,
        trouble: impl Fn(&LeaseKey, Arc<str>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            trouble: ErrorListener(Arc::new(trouble)),
            ..self
        }
    }

    /// Sends `make(row)` until it is settled or `until` has passed. When the row has moved on under
    /// our token, it is made anew from the row as it is, unless `make` has nothing more to write;
    /// `held` is always the last row known to be ours.
    ///
    /// Retries come at once and then after short pauses: a renewal that waits for its next turn
    /// loses the lease. One that is not answered soon is followed by others before its own time is
    /// over: of the time that is left, half goes to each. They are tries of one and the same write,
    /// so that at most one lands, and the first answer that tells what became of it is as good as
    /// any.
    pub(crate) async fn pursue(
        &self,
        held: &mut Lease,
        until: Moment,
        make: impl Fn(&Lease) -> Option<Write>,
    ) -> WriteOutcome {
        let mut sent = self.clock.now();
        let mut span = FIRST_PAUSE;
        let mut tell_at = Some(sent + until.since(sent) / 3);
        loop {
            let Some(write) = make(held) else {
                return WriteOutcome::Superseded;
            };
            let mut tries = FuturesUnordered::new();
            let mut next = None;
            let (settled, acknowledged) = loop {
                // A try that is slow stays beside the new one: its answer may come first, and each
                // of them expects the same counter, so no two of them can land.
                tries.push(self.call(held, &write));
                let told = self
                    .first_telling(&mut tries, next, |answer| settle(held, &write, answer))
                    .await;
                if tell_at.is_some_and(|at| self.clock.now() >= at) {
                    let said = match &told {
                        Some((Settled::Again(error), _)) => Some(with_causes(error)),
                        None => Some("no answer to a write so far".to_owned()),
                        Some(_) => None,
                    };
                    if let Some(said) = said {
                        tell_at = None;
                        (self.trouble.0)(&held.key, said.into());
                    }
                }
                match told {
                    Some((Settled::Again(error), _)) if self.clock.now() + span >= until => {
                        return WriteOutcome::Unsettled { error, sent };
                    }
                    Some((Settled::Again(_), _)) => {
                        pause(&*self.clock, span.mul_f64(0.5 + jitter() / 2.0)).await;
                        span = (span * 2).min(self.call_limit);
                    }
                    Some(told) => break told,
                    None => {}
                }
                let now = self.clock.now();
                let patience = (until.since(now) / 2).max(self.call_limit / 8);
                next = Some(now + patience).filter(|next| *next < until);
            };
            // A try that was dropped may still land, after the row has moved on; then its condition
            // fails.
            drop(tries);
            match settled {
                Settled::Stored(row) => {
                    held.clone_from(&row);
                    return WriteOutcome::Stored {
                        row,
                        sent,
                        acknowledged,
                    };
                }
                Settled::Adopt(row) => {
                    // The row is ours at a counter that an earlier write of ours has reached: what
                    // follows is a new write.
                    let moved = row != *held;
                    *held = row;
                    sent = self.clock.now();
                    if sent >= until {
                        return WriteOutcome::Unsettled {
                            error: Error::conflict(Some(held.clone())),
                            sent,
                        };
                    }
                    if !moved {
                        // A table that refuses the very row that it shows: not in a hot loop.
                        pause(&*self.clock, FIRST_PAUSE).await;
                    }
                }
                Settled::Edited(row) => {
                    *held = row;
                    return WriteOutcome::Edited;
                }
                Settled::Lost(row) => return WriteOutcome::Lost(Box::new(row)),
                Settled::Vanished => return WriteOutcome::Vanished,
                Settled::Malformed(row) => return WriteOutcome::Malformed(row),
                Settled::Broken(error) => return WriteOutcome::Broken(error),
                // The loop above ends with no such answer.
                Settled::Again(error) => return WriteOutcome::Unsettled { error, sent },
            }
        }
    }

    /// The first answer that tells what became of the write, and whether it acknowledges it; the
    /// last one if none does. Nothing when it is time for the next try.
    async fn first_telling(
        &self,
        tries: &mut FuturesUnordered<impl Future<Output = Result<Lease, Error>>>,
        next: Option<Moment>,
        judge: impl Fn(Result<Lease, Error>) -> Settled,
    ) -> Option<(Settled, bool)> {
        loop {
            let answer = tokio::select! {
                biased;
                answer = tries.next() => answer?,
                () = self.clock.sleep_until(next.unwrap_or_default()), if next.is_some() => return None,
            };
            let acknowledged = answer.is_ok();
            let settled = judge(answer);
            if tries.is_empty() || !matches!(settled, Settled::Again(_)) {
                return Some((settled, acknowledged));
            }
        }
    }

    /// One try.
    async fn call(&self, held: &Lease, write: &Write) -> Result<Lease, Error> {
        let call = self.table.update(&held.key, write);
        self.write(call).await
    }

    /// A read, bounded like every call.
    pub(crate) async fn read<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let answer = within(&*self.clock, self.call_limit, call).await;
        // A read that is given up is throttled, and not unknown: there is nothing that it could
        // have changed.
        let answer = answer.unwrap_or_else(|| {
            Err(Error::Throttled {
                source: self.time_out(),
            })
        });
        self.malformed.note(&answer);
        self.health.note(TableCall::Read, &answer, self.clock.now());
        answer
    }

    /// All pages of the table, each bounded like every call.
    pub(crate) async fn whole_table(&self, consistency: Consistency) -> Result<ScanPage, Error> {
        let mut whole = ScanPage::default();
        loop {
            let next = whole.next.take();
            whole.append(
                self.read(self.table.scan(next.as_ref(), consistency))
                    .await?,
            );
            if whole.next.is_none() {
                self.malformed.see_all(&whole.malformed);
                return Ok(whole);
            }
        }
    }

    /// A write, bounded like every call.
    pub(crate) async fn write<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let answer = within(&*self.clock, self.call_limit, call)
            .await
            // A write that is given up may be carried out at any later moment.
            .unwrap_or_else(|| Err(self.no_answer()));
        self.malformed.note(&answer);
        self.health
            .note(TableCall::Write, &answer, self.clock.now());
        answer
    }

    /// Makes the table, or finds it. It may take longer than a call.
    pub(crate) async fn setup(&self) -> Result<(), Error> {
        let answer = self.table.setup().await;
        self.health
            .note(TableCall::Write, &answer, self.clock.now());
        answer
    }

    /// Makes the row of a worker.
    pub(crate) async fn create_worker(&self, row: &WorkerRow) -> Result<(), Error> {
        self.write(self.table.write_worker(&row.worker, None, Some(row)))
            .await
    }

    /// Replaces the row of a worker, if it is as it was seen.
    pub(crate) async fn replace_worker(
        &self,
        seen: &WorkerRow,
        row: &WorkerRow,
    ) -> Result<(), Error> {
        self.write(self.table.write_worker(&seen.worker, Some(seen), Some(row)))
            .await
    }

    /// The same for a heartbeat on which leases depend, which is [sent again](Self::soon). At most one
    /// of them lands. A conflict may be the work of an earlier one, so the caller reads the row.
    pub(crate) async fn replace_worker_soon(
        &self,
        seen: &WorkerRow,
        row: &WorkerRow,
    ) -> Result<(), Error> {
        self.soon(|| self.replace_worker(seen, row)).await
    }

    /// The row of a worker on which leases depend.
    pub(crate) async fn worker_soon(&self, worker: &WorkerId) -> Result<Option<WorkerRow>, Error> {
        self.soon(|| self.read(self.table.get_worker(worker))).await
    }

    /// Makes a call that may be made twice. If it is not answered in a quarter of its time, it is made
    /// once more beside that, and so on: one of a hundred answers is lost, and a worker whose leases
    /// depend on a call has no time to wait for all that it may take.
    async fn soon<T, F: Future<Output = Result<T, Error>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T, Error> {
        let mut tries = FuturesUnordered::new();
        tries.push(call());
        let mut left = TRIES_SOON - 1;
        loop {
            let again = self.clock.now() + self.call_limit / TRIES_SOON;
            tokio::select! {
                biased;
                Some(answer) = tries.next() => {
                    let tells = !matches!(&answer, Err(error) if error.is_transient());
                    if tells || tries.is_empty() {
                        return answer;
                    }
                }
                () = self.clock.sleep_until(again), if left > 0 => {
                    left -= 1;
                    tries.push(call());
                }
            }
        }
    }

    /// Deletes the row of a worker, if it is as it was seen.
    pub(crate) async fn delete_worker(&self, seen: &WorkerRow) -> Result<(), Error> {
        self.write(self.table.write_worker(&seen.worker, Some(seen), None))
            .await
    }

    /// Nobody knows whether the write was carried out.
    fn no_answer(&self) -> Error {
        Error::Unknown {
            source: self.time_out(),
        }
    }

    /// The text of both.
    fn time_out(&self) -> BoxError {
        format!(
            "no answer from the lease table within {:?}",
            self.call_limit
        )
        .into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::lease::memory::MemoryLeaseTable;
    use crate::paused::PausedClock;

    /// Answers of which the first so many are lost, and how many calls were made for them.
    async fn after_lost(lost: u32) -> (Result<u32, Error>, u32) {
        let client = TableClient::new(
            Arc::new(MemoryLeaseTable::new()),
            Arc::new(PausedClock::new()),
            Duration::from_secs(8),
        );
        let calls = AtomicU32::new(0);
        let call = || async {
            let number = calls.fetch_add(1, Ordering::SeqCst);
            let answer = async {
                if number < lost {
                    std::future::pending::<()>().await;
                }
                Ok(number)
            };
            client.read(answer).await
        };
        let answer = client.soon(call).await;
        (answer, calls.load(Ordering::SeqCst))
    }

    #[tokio::test(start_paused = true)]
    #[expect(clippy::disallowed_methods, reason = "a paused clock is read")]
    async fn a_call_that_is_wanted_soon_outlives_three_lost_answers() {
        let since = tokio::time::Instant::now();
        let (answer, calls) = after_lost(0).await;
        assert_eq!((answer.unwrap(), calls), (0, 1));
        let (answer, calls) = after_lost(3).await;
        assert_eq!((answer.unwrap(), calls), (3, 4));
        assert_eq!(since.elapsed(), Duration::from_secs(6));
        let (answer, calls) = after_lost(4).await;
        assert!(answer.unwrap_err().is_transient());
        assert_eq!((calls, since.elapsed().as_secs()), (4, 6 + 14));
    }
}
