use std::pin::pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;

const MIB: usize = 1024 * 1024;

fn now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn a_budget_below_one_page_is_refused_with_what_is_allowed() {
    let error = ByteBudget::new(LARGEST_PAGE - 1).unwrap_err().to_string();
    assert!(error.contains("10485759") && error.contains("10 MiB"), "{error}");
}

#[test]
fn a_shard_that_holds_nothing_gets_a_page_at_once() {
    let budget = ByteBudget::new(64 * MIB).unwrap();
    let seats: Vec<_> = (0..16).map(|_| budget.seat()).collect();
    let mut held = Vec::new();
    for seat in &seats[..15] {
        while let Some(permit) = now(seat.acquire(8 * MIB)) {
            held.push(permit);
        }
    }
    let last = now(seats[15].acquire(8 * MIB)).expect("one page is always there");
    assert_eq!(last.bytes(), 2 * MIB, "the part that is set aside: half of 64 MiB by 16");
    assert!(budget.used() <= budget.total(), "{budget:?}");
}

#[test]
fn shards_that_find_the_budget_taken_read_record_by_record() {
    let budget = ByteBudget::new(64 * MIB).unwrap();
    let early = budget.seat();
    let mut held = Vec::new();
    while let Some(permit) = now(early.acquire(8 * MIB)) {
        held.push(permit);
    }
    assert_eq!(budget.used(), 64 * MIB);
    let late: Vec<_> = (0..100).map(|_| budget.seat()).collect();
    let permits: Vec<_> = late.iter().map(|seat| now(seat.acquire(8 * MIB)).expect("at once").bytes()).collect();
    assert_eq!(permits, [1; 100]);
    held.clear();
    let seat = budget.seat();
    assert!(now(seat.acquire(8 * MIB)).expect("at once").bytes() > 64 * MIB / 2 / 200, "there is room again");
}

#[test]
fn prefetch_waits_for_room_and_gets_it_in_the_order_of_asking() {
    let budget = ByteBudget::new(16 * MIB).unwrap();
    let (a, b) = (budget.seat(), budget.seat());
    let first = now(a.acquire(10 * MIB)).unwrap();
    let mut more = pin!(a.acquire(6 * MIB));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(more.as_mut().poll(&mut cx).is_pending());
    let own = now(b.acquire(MIB)).unwrap();
    let mut behind = pin!(b.acquire(MIB));
    assert!(behind.as_mut().poll(&mut cx).is_pending(), "a small request does not overtake a large one");
    drop(first);
    assert!(more.as_mut().poll(&mut cx).is_ready());
    assert!(behind.as_mut().poll(&mut cx).is_ready());
    drop(own);
}

#[test]
fn a_page_larger_than_expected_is_counted_and_delays_the_next() {
    let budget = ByteBudget::new(16 * MIB).unwrap();
    let seat = budget.seat();
    let mut permit = now(seat.acquire(MIB)).unwrap();
    permit.correct(20 * MIB);
    assert_eq!(budget.used(), 20 * MIB);
    assert!(now(seat.acquire(MIB)).is_none());
    permit.correct(2 * MIB);
    assert!(now(seat.acquire(MIB)).is_some());
}

#[test]
fn a_request_that_is_given_up_leaves_nothing_behind() {
    let budget = ByteBudget::new(16 * MIB).unwrap();
    let seat = budget.seat();
    let first = now(seat.acquire(12 * MIB)).unwrap();
    assert!(now(seat.acquire(12 * MIB)).is_none());
    drop(first);
    assert_eq!(budget.used(), 0);
    assert!(now(seat.acquire(12 * MIB)).is_some());
}

proptest! {
    #[test]
    fn the_count_returns_to_zero_and_grants_stay_in_the_budget(
        steps in prop::collection::vec((0_usize..6, 0_u8..4, 1_usize..12), 1..200),
    ) {
        let budget = ByteBudget::new(32 * MIB).unwrap();
        let seats: Vec<_> = (0..6).map(|_| budget.seat()).collect();
        let mut permits: Vec<Vec<Permit>> = (0..6).map(|_| Vec::new()).collect();
        for (seat, action, mib) in steps {
            if action == 0 {
                permits[seat].pop();
            } else if let Some(permit) = now(seats[seat].acquire(mib * MIB)) {
                permits[seat].push(permit);
            }
            prop_assert!(budget.used() <= budget.total());
        }
        drop(permits);
        prop_assert_eq!(budget.used(), 0);
    }
}
