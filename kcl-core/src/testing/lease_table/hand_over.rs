//! The hand-over of a lease from its owner A to a worker B that has requested it.
//!
//! ```text
//!  A holds it     request       A drains        pass on        B reads it
//!  owner A      ----------->    owner B       ----------->     owner B
//!                               ckpt owner A      claim        token of B
//!       ^   withdraw (by B)  |
//!       |   refuse (by A)    |
//!       +--------------------+
//! ```
//!
//! While the request is pending, the *checkpoint owner* is the one that reads and may write; the
//! owner is only the next one. This is the protocol of the KCL 3.x, in its columns. Each step is
//! one write, and each of them names both workers in its condition, so that none of them can
//! succeed after another one has changed the row.

use crate::lease::Write;
use crate::model::Lease;

use super::TableFixture;
use super::check::check_write;
use super::rows::{asked_for, at, held, other, owner, passed};

/// A request needs the current owner, its token, no other request, and a shard that is not at its
/// end. The counter belongs to the owner: a request neither needs nor changes it.
///
/// If it needed the counter, a request would nearly always lose against the renewals of a busy
/// owner. If it changed the counter, the owner's next renewal would fail as if the lease were lost.
/// A second request must be refused, because the owner can hand the lease over to one worker only.
/// A shard at its end has nothing to hand over.
pub async fn a_request_needs_owner_token_no_other_request_and_no_end(fixture: &dyn TableFixture) {
    let row = held();
    check_write(
        fixture,
        &Write::request(&row, other(), owner()),
        &row,
        &asked_for(),
    )
    .await;
}

/// A request to an owner without a token (of another framework) needs that there is still none.
///
/// In a fleet with Java workers a lease can go from a Java owner to one of this framework between
/// the scan and the request. The request must then fail, because its sender judged another tenancy.
pub async fn a_request_to_an_owner_without_a_token_needs_its_absence(fixture: &dyn TableFixture) {
    let row = Lease {
        token: None,
        ..held()
    };
    let after = Lease {
        token: None,
        ..asked_for()
    };
    check_write(
        fixture,
        &Write::request(&row, other(), owner()),
        &row,
        &after,
    )
    .await;
}

/// A request succeeds after the owner has renewed the lease: it does not depend on the counter.
///
/// The row of the requester is some scans old, and the owner has renewed since.
pub async fn a_request_does_not_need_the_counter(fixture: &dyn TableFixture) {
    let row = Lease {
        counter: held().counter + 5,
        ..held()
    };
    let after = Lease {
        counter: row.counter,
        ..asked_for()
    };
    check_write(
        fixture,
        &Write::request(&held(), other(), owner()),
        &row,
        &after,
    )
    .await;
}

/// A withdrawal needs the requester as owner, the previous owner as checkpoint owner, and its
/// token; it undoes the request.
///
/// It must leave the row exactly as before the request, counter included: to the owner it is as if
/// it had never been asked. It fails once the owner has handed over, and the requester then claims
/// the lease or releases it.
///
/// A worker withdraws when its request has taken too long, when it needs the lease no more, and for
/// all its requests when it stops.
pub async fn a_withdrawal_needs_both_owners_and_the_token(fixture: &dyn TableFixture) {
    let row = asked_for();
    check_write(
        fixture,
        &Write::withdraw(&row, other(), owner()),
        &row,
        &held(),
    )
    .await;
}

/// A hand-over needs counter, token, both owners and the checkpoint; it leaves the requester as
/// owner, without a token.
///
/// The token is removed, so that nobody holds the lease until the requester has claimed it by a
/// write of its own. An owner that handed over and did not hear the answer cannot write any more,
/// whatever happened: each of its writes expects its token.
pub async fn a_passing_on_needs_counter_token_both_owners_and_checkpoint(
    fixture: &dyn TableFixture,
) {
    let row = asked_for();
    let after = Lease {
        checkpoint_owner: None,
        token: None,
        counter: row.counter + 1,
        ..row.clone()
    };
    check_write(
        fixture,
        &Write::pass_on(&row, owner(), other(), None),
        &row,
        &after,
    )
    .await;
}

/// A hand-over with the last checkpoint stores that in the same write, and removes a prepared one.
///
/// In two writes the requester could claim the lease between them, start at the older checkpoint,
/// and deliver records twice in a hand-over that is called graceful.
pub async fn a_passing_on_stores_the_last_checkpoint(fixture: &dyn TableFixture) {
    let row = asked_for();
    let after = Lease {
        checkpoint_owner: None,
        token: None,
        counter: row.counter + 1,
        checkpoint: at(30, 4),
        pending: None,
        owner_switches: 0,
        facts: passed(),
        ..row.clone()
    };
    check_write(
        fixture,
        &Write::pass_on(&row, owner(), other(), Some(at(30, 4))),
        &row,
        &after,
    )
    .await;
}

/// A refusal needs counter, token and both owners; the previous owner is owner again, with the same
/// token.
///
/// An owner refuses if the requester shows no life, or if it could not drain in time. It keeps its
/// token and reads on without a pause. The counter moves, because a refusal is a write of the owner
/// and therefore a heartbeat.
pub async fn a_refusal_needs_counter_token_and_both_owners(fixture: &dyn TableFixture) {
    let row = asked_for();
    let after = Lease {
        owner: Some(owner()),
        checkpoint_owner: None,
        counter: row.counter + 1,
        ..row.clone()
    };
    check_write(
        fixture,
        &Write::refuse(&row, owner(), other()),
        &row,
        &after,
    )
    .await;
}
