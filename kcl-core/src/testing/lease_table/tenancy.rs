//! How a tenancy begins, is kept and ends: take, claim, renew, release.
//!
//! The counter decides which of two writes came first, and the token decides whose tenancy it is.
//! Every write of an owner expects both. With the counter alone, an owner that was paused could
//! write after its lease went to another worker and came back to the same number; with the worker's
//! name in place of the token, two processes with one name would write into each other's tenancy.

use crate::lease::Write;
use crate::model::Lease;

use super::TableFixture;
use super::check::check_write;
use super::rows::{asked_for, at, free, held, other, passed, passed_on, token};

/// Checks that a take sets the new owner and token, removes a requester's pending hand-over, counts
/// one more owner switch, and leaves checkpoint and facts alone: the new owner starts where the old
/// one stored last.
async fn check_take(fixture: &dyn TableFixture, row: Lease) {
    let after = Lease {
        owner: Some(other()),
        checkpoint_owner: None,
        token: Some(token("token-2")),
        counter: row.counter + 1,
        owner_switches: row.owner_switches + 1,
        ..row.clone()
    };
    check_write(
        fixture,
        &Write::take(&row, other(), token("token-2")),
        &row,
        &after,
    )
    .await;
}

/// Taking a free lease needs only the counter, and begins a new tenancy.
///
/// All workers with room see the same free lease and may take it at the same moment. The counter
/// lets exactly one of them succeed.
pub async fn a_take_of_a_free_lease_needs_its_counter(fixture: &dyn TableFixture) {
    check_take(fixture, free()).await;
}

/// Taking a lease from a silent owner is the same write: neither owner nor token can prevent it.
///
/// The token of a dead owner must not protect its lease. The counter does what is needed: an owner
/// that is alive after all has renewed, its counter has moved, and the take is refused.
pub async fn a_take_from_an_owner_needs_its_counter_alone(fixture: &dyn TableFixture) {
    check_take(fixture, held()).await;
}

/// Taking a lease also ends a pending hand-over.
///
/// If the checkpoint owner stayed in the row, it would name the dead worker as the one that still
/// delivers, and no other worker could ever request the lease. A take by the KCL 2.x leaves it,
/// which is a known fault there.
pub async fn a_take_ends_a_pending_hand_over(fixture: &dyn TableFixture) {
    check_take(fixture, asked_for()).await;
}

/// A claim needs the counter, the claiming worker as owner, and no pending hand-over; it writes the
/// token of the new tenancy.
///
/// A requester may give up and withdraw just when the owner hands the lease over. The claim then
/// must not succeed, because the previous owner may be reading again. A row that still has a
/// checkpoint owner was not handed over yet.
pub async fn a_claim_needs_counter_owner_and_no_pending_hand_over(fixture: &dyn TableFixture) {
    let row = passed_on();
    let after = Lease {
        token: Some(token("token-2")),
        counter: row.counter + 1,
        ..row.clone()
    };
    check_write(
        fixture,
        &Write::claim(&row, other(), token("token-2")),
        &row,
        &after,
    )
    .await;
}

/// A renewal needs counter and token, and changes only the counter.
///
/// The renewal is the heartbeat of a lease: other workers judge its owner by the counter alone. It
/// must not touch the checkpoint, because it may be sent while a checkpoint is being computed.
pub async fn a_renewal_needs_counter_and_token(fixture: &dyn TableFixture) {
    let row = held();
    check_write(
        fixture,
        &Write::renew(&row),
        &row,
        &Lease {
            counter: row.counter + 1,
            ..row.clone()
        },
    )
    .await;
}

/// A renewal can be written while a hand-over is pending, and leaves it pending.
///
/// An owner drains for up to its drain limit after a request and has to keep the lease alive that
/// long. A renewal that removed the request would make the requester wait for nothing.
pub async fn a_renewal_leaves_a_hand_over_pending(fixture: &dyn TableFixture) {
    let row = asked_for();
    check_write(
        fixture,
        &Write::renew(&row),
        &row,
        &Lease {
            counter: row.counter + 1,
            ..row.clone()
        },
    )
    .await;
}

/// A write of a tenancy without a token (a row of another framework) is rejected once the row has
/// one.
///
/// Rows of a Java worker have no token. "No token" is a value like any other here: as soon as a
/// worker of this framework has taken the lease, a write that expects none must fail.
pub async fn a_renewal_without_a_token_needs_that_there_is_none(fixture: &dyn TableFixture) {
    let row = Lease {
        token: None,
        ..held()
    };
    check_write(
        fixture,
        &Write::renew(&row),
        &row,
        &Lease {
            counter: row.counter + 1,
            ..row.clone()
        },
    )
    .await;
}

/// Checks a release that has nothing left to store: the lease is free afterwards, and everything
/// but its ownership is as before.
async fn check_release(fixture: &dyn TableFixture, row: Lease) {
    let after = Lease {
        owner: None,
        checkpoint_owner: None,
        token: None,
        counter: row.counter + 1,
        ..row.clone()
    };
    check_write(fixture, &Write::release(&row, None), &row, &after).await;
}

/// A release needs counter, token and checkpoint; it removes owner and token, and keeps the rest.
///
/// After a release any worker may take the lease at once. So a late release, of a tenancy that is
/// over, must not free the lease of the worker that has it now. The checkpoint is part of the
/// condition so that one that was edited meanwhile is noticed and not overwritten.
pub async fn a_release_needs_counter_token_and_checkpoint(fixture: &dyn TableFixture) {
    check_release(fixture, held()).await;
}

/// A release ends a pending hand-over.
///
/// A worker that stops releases instead of handing over: the requester may be stopping too. The
/// lease is then free for everybody, the requester included.
pub async fn a_release_ends_a_pending_hand_over(fixture: &dyn TableFixture) {
    check_release(fixture, asked_for()).await;
}

/// A release with the last checkpoint stores that in the same write.
///
/// In two writes, a crash between them would lose the checkpoint or leave the lease owned by a
/// worker that is gone. In one write a stop is graceful: the next worker starts exactly where this
/// one ended.
pub async fn a_release_stores_the_last_checkpoint(fixture: &dyn TableFixture) {
    let row = held();
    let after = Lease {
        owner: None,
        token: None,
        counter: row.counter + 1,
        checkpoint: at(30, 0),
        pending: None,
        owner_switches: 0,
        facts: passed(),
        ..row.clone()
    };
    check_write(
        fixture,
        &Write::release(&row, Some(at(30, 0))),
        &row,
        &after,
    )
    .await;
}
