use crate::lease::Write;
use crate::model::Lease;

use super::TableFixture;
use super::check::check_write;
use super::rows::{asked_for, at, free, held, other, passed, passed_on, token};

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
pub async fn a_take_of_a_free_lease_needs_its_counter(fixture: &dyn TableFixture) {
    check_take(fixture, free()).await;
}

/// Taking a lease from a silent owner is the same write: neither owner nor token can prevent it.
pub async fn a_take_from_an_owner_needs_its_counter_alone(fixture: &dyn TableFixture) {
    check_take(fixture, held()).await;
}

/// Taking a lease also ends a pending hand-over.
pub async fn a_take_ends_a_pending_hand_over(fixture: &dyn TableFixture) {
    check_take(fixture, asked_for()).await;
}

/// A claim needs the counter, the claiming worker as owner, and no pending hand-over; it writes the
/// token of the new tenancy.
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
pub async fn a_release_needs_counter_token_and_checkpoint(fixture: &dyn TableFixture) {
    check_release(fixture, held()).await;
}

/// A release ends a pending hand-over.
pub async fn a_release_ends_a_pending_hand_over(fixture: &dyn TableFixture) {
    check_release(fixture, asked_for()).await;
}

/// A release with the last checkpoint stores that in the same write.
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
