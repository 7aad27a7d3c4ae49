//! The leases that this worker holds: how a tenancy begins, and what follows its end.
//!
//! ```text
//!   acquired row --> Engine::acquired --> Work       a writer, a gate for its parents, an Assignment to the root
//!                                    |--> GiveBack   a writer that gives the lease back at once
//!                                    +--> Abandon    nothing: the next plan finds the row
//!
//!   a writer ends --> the token is ended or abandoned --> Engine::tenancy_ended --> other workers are told
//! ```
//!
//! A token is *ended* when no row can bear it any more, and *abandoned* when one may: a row with an
//! abandoned token is this worker's to take again, and no evidence of a second process.

use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::Instrument;

use crate::decide::fleet::{AcquiredLease, TenancyOutcome};
use crate::model::{LeaseKey, Moment, Token};
use crate::tenancy::writer::{Limits, TenancyEnd, Writer};
use crate::worker::error::RunError;
use crate::worker::event::Event;

use super::super::context::Acquired;
use super::super::gate::{self, AtGate};
use super::super::link::{Assignment, ToRoot};
use super::Coordinator;

impl Coordinator {
    /// Begins the tenancies of these leases, which the table says are this worker's.
    pub(super) fn acquire_all(&mut self, acquired: impl IntoIterator<Item = Acquired>) {
        for (row, sent) in acquired {
            self.acquire(row, sent);
        }
        self.count();
    }

    /// Sets the gauge of held leases.
    fn count(&self) {
        self.context
            .inner
            .meters
            .leases
            .set(self.engine.leases.held() as f64);
    }

    /// A lease is this worker's: a writer keeps it, and the root works on it. `sent` is when the
    /// acquiring write was sent, from which the lease is valid for a while: not from its answer, as
    /// other workers count from when the row changed.
    fn acquire(&mut self, row: crate::model::Lease, sent: Moment) {
        let context = Arc::clone(&self.context);
        let key = row.key.clone();
        // Nothing when the stream was removed meanwhile.
        let stream = context.inner.parts.streams.of(&key);
        let (now, works) = (context.clock().now(), context.is_working());
        let becomes = self.engine.acquired(&row, stream.is_some(), now, works);
        if becomes == AcquiredLease::Abandon {
            context.client.begun.abandon_row(&row);
            return;
        }
        let settings = &context.inner.parts.settings;
        let limits = Limits {
            checkpoint_every: settings.checkpoint_every,
            handler_budget: settings.handler_budget,
            standstill: settings.handler_budget.max(settings.call_limit * 2),
            drain: settings.drain_limit,
        };
        let tenancy = (row.clone(), sent);
        let (writer, held) = Writer::new(
            context.client.clone(),
            context.timing,
            limits,
            tenancy,
            context.me().clone(),
            self.notes.0.clone(),
        );
        let (writer_key, token) = (key.clone(), row.token.clone());
        let name = stream
            .as_ref()
            .map(|stream| stream.name.to_string())
            .unwrap_or_default();
        let span =
            tracing::info_span!("lease", stream = name, shard = %key.shard, worker = %context.me());
        self.writers
            .start(async move { (writer_key, token, writer.run().await) }.instrument(span.clone()));
        // Counted when it is acquired, also if it is given back at once: the write was made.
        context.inner.meters.taken.increment(1);
        self.orders.insert(key.clone(), held.orders());
        let Some(stream) = stream.filter(|_| becomes == AcquiredLease::Work) else {
            // Nobody was told of it.
            held.abandon();
            return;
        };
        context.inner.outlet.say(Event::LeaseAcquired {
            lease: key,
            checkpoint: row.checkpoint.clone(),
        });
        // One place is enough: a gate says one thing at a time, and waits until it is heard.
        let (waits, parents) = mpsc::channel(1);
        if row.parents.is_empty() {
            let _ = waits.try_send(AtGate::Opens);
        } else {
            let gate = gate::keep(
                context,
                Arc::clone(&stream),
                row.clone(),
                self.ends.clone(),
                waits,
            );
            self.gates.start(gate.instrument(span));
        }
        let _ = self.news.send(ToRoot::Assigned(Box::new(Assignment {
            held,
            row,
            stream,
            parents,
        })));
    }

    /// A writer has ended, and with it the tenancy. Other workers are told of it unless the row was
    /// left as it is (`Kept`) or its fate is not known (`Broken`).
    pub(super) fn on_tenancy(
        &mut self,
        ended: Result<(LeaseKey, Option<Token>, TenancyEnd), String>,
    ) {
        let (key, token, tenancy) = match ended {
            Ok(ended) => ended,
            Err(panic) => {
                let defect = RunError::Internal(format!("the writer of a lease panicked: {panic}"));
                let _ = self.news.send(ToRoot::Failed(defect));
                return;
            }
        };
        let now = self.context.clock().now();
        self.orders.remove(&key);
        let begun = &self.context.client.begun;
        token.iter().for_each(|token| match &tenancy {
            TenancyEnd::Ended | TenancyEnd::Released | TenancyEnd::HandedOver(_) => {
                begun.end(token);
            }
            // The row may bear the token still, or bear it later, if a write lands late. Found
            // again, such a row is this worker's to take.
            TenancyEnd::Lost(_) | TenancyEnd::Broken(_) | TenancyEnd::Kept => begun.abandon(token),
        });
        let is_told = !matches!(tenancy, TenancyEnd::Kept | TenancyEnd::Broken(_));
        let outcome = match tenancy {
            TenancyEnd::Ended => {
                // The shard's children may be waiting in this worker.
                self.ends.raise_by_one();
                TenancyOutcome::Ended
            }
            TenancyEnd::HandedOver(row) => {
                if let Some(to) = row.owner.clone() {
                    self.context.inner.outlet.say(Event::LeaseHandedOver {
                        lease: key.clone(),
                        to,
                    });
                }
                TenancyOutcome::HandedOver(row)
            }
            TenancyEnd::Lost(reason) => {
                tracing::debug!(lease = %key, ?reason, "the lease is no longer held");
                TenancyOutcome::Over
            }
            TenancyEnd::Broken(error) => {
                drop(self.news.send(ToRoot::Failed(RunError::LeaseTable(error))));
                TenancyOutcome::Over
            }
            TenancyEnd::Released | TenancyEnd::Kept => TenancyOutcome::Over,
        };
        if is_told {
            self.announce(&key);
        }
        self.engine.tenancy_ended(&key, &outcome, now);
        self.count();
    }
}
