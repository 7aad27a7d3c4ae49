use crate::lease::Write;
use crate::model::Lease;

use super::TableFixture;
use super::check::check_write;
use super::rows::{asked_for, at, held, other, owner, passed};

/// A request needs the current owner, its token, no other request, and a shard that is not at its
/// end. The counter belongs to the owner: a request neither needs nor changes it.
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
