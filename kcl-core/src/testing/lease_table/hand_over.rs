use crate::lease::Write;
use crate::model::Lease;

use super::TableFixture;
use super::check::check_write;
use super::rows::{asked_for, at, held, other, owner, passed};

/// A request needs the owner that is asked, its token, no other request and a shard that is not at
/// its end. The counter is the owner's own: a request neither needs nor moves it.
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

/// A request to an owner without a token (other software) needs that there still is none.
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

/// A request holds after the owner renewed: it does not look at the counter.
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

/// A withdrawal needs the asker as owner, the asked as checkpoint owner and its token; it undoes
/// the request.
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

/// Passing on needs counter, token, both owners and the checkpoint; it leaves the asker as owner
/// and no token.
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

/// Passing on with the last checkpoint stores that in the same write, and what was prepared is
/// gone.
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

/// A refusal needs counter, token and both owners; the owner is owner again, under the same token.
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
