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
    assert!(
        error.contains("10485759") && error.contains("10 MiB"),
        "{error}"
    );
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
    assert_eq!(
        last.bytes(),
        2 * MIB,
        "the part that is set aside: half of 64 MiB by 16"
    );
    assert_eq!(seats[15].set_aside(), 2 * MIB);
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
    let permits: Vec<_> = late
        .iter()
        .map(|seat| now(seat.acquire(8 * MIB)).expect("at once").bytes())
        .collect();
    assert_eq!(permits, [1; 100]);
    held.clear();
    let seat = budget.seat();
    assert!(
        now(seat.acquire(8 * MIB)).expect("at once").bytes() > 64 * MIB / 2 / 200,
        "there is room again"
    );
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
    assert!(
        behind.as_mut().poll(&mut cx).is_pending(),
        "a small request does not overtake a large one"
    );
    drop(first);
    assert_eq!(
        more.as_mut().poll(&mut cx).map(|permit| permit.bytes()),
        Poll::Ready(6 * MIB)
    );
    assert_eq!(
        behind.as_mut().poll(&mut cx).map(|permit| permit.bytes()),
        Poll::Ready(MIB)
    );
    drop(own);
}

#[test]
fn who_gives_a_request_up_keeps_nobody_waiting() {
    let budget = ByteBudget::new(16 * MIB).unwrap();
    let (a, b) = (budget.seat(), budget.seat());
    let held = now(a.acquire(10 * MIB)).unwrap();
    let own = [now(b.acquire(MIB)).unwrap(), now(b.acquire(MIB)).unwrap()];
    let mut cx = Context::from_waker(Waker::noop());
    let mut more = Box::pin(a.acquire(10 * MIB));
    assert!(more.as_mut().poll(&mut cx).is_pending());
    let mut behind = pin!(b.acquire(MIB));
    assert!(behind.as_mut().poll(&mut cx).is_pending());
    drop(more);
    let [own, other] = own;
    drop(other);
    assert_eq!(
        behind.as_mut().poll(&mut cx).map(|permit| permit.bytes()),
        Poll::Ready(MIB)
    );
    drop((held, own));
}

#[test]
fn what_was_set_aside_for_a_shard_that_leaves_is_free() {
    let budget = ByteBudget::new(16 * MIB).unwrap();
    let (a, b) = (budget.seat(), budget.seat());
    let held = now(a.acquire(MIB)).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut more = pin!(a.acquire(12 * MIB));
    assert!(more.as_mut().poll(&mut cx).is_pending());
    drop(b);
    assert_eq!(a.set_aside(), 8 * MIB);
    assert_eq!(
        more.as_mut().poll(&mut cx).map(|permit| permit.bytes()),
        Poll::Ready(12 * MIB)
    );
    drop(held);
}

#[test]
fn what_a_page_does_not_take_is_there_for_who_waits() {
    let budget = ByteBudget::new(16 * MIB).unwrap();
    let seat = budget.seat();
    let mut page = now(seat.acquire(12 * MIB)).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut next = pin!(seat.acquire(10 * MIB));
    assert!(next.as_mut().poll(&mut cx).is_pending());
    page.correct(2 * MIB);
    assert_eq!(
        next.as_mut().poll(&mut cx).map(|permit| permit.bytes()),
        Poll::Ready(10 * MIB)
    );
}

#[test]
fn nobody_waits_for_more_than_the_pool_can_ever_give() {
    let budget = ByteBudget::new(16 * MIB).unwrap();
    let (a, _b) = (budget.seat(), budget.seat());
    let first = now(a.acquire(MIB)).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut all = pin!(a.acquire(16 * MIB));
    assert!(all.as_mut().poll(&mut cx).is_pending());
    drop(first);
    let most = 16 * MIB / 2 + 16 * MIB / 4;
    assert_eq!(
        all.as_mut().poll(&mut cx).map(|permit| permit.bytes()),
        Poll::Ready(most)
    );
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

/// A worker of thousands of shards asks thousands of times a second.
#[test]
fn a_request_looks_at_no_shard_but_its_own() {
    for shards in [1, 64, 4096] {
        let budget = ByteBudget::new(128 * MIB).unwrap();
        let seats: Vec<_> = (0..shards).map(|_| budget.seat()).collect();
        let before = budget.state().seats.visited;
        for seat in &seats {
            let mut page = now(seat.acquire(MIB)).expect("at once");
            let prefetch = now(seat.acquire(MIB));
            page.correct(1);
            drop((page, prefetch));
        }
        assert_eq!(budget.state().seats.visited, before, "{shards} shards");
    }
}

#[test]
fn memory_given_back_looks_at_the_first_waiter_and_its_own() {
    const SHARDS: usize = 1000;
    let budget = ByteBudget::new(128 * MIB).unwrap();
    let seats: Vec<_> = (0..SHARDS).map(|_| budget.seat()).collect();
    let mut first: Vec<_> = seats.iter().map(|seat| now(seat.acquire(MIB))).collect();
    let mut context = Context::from_waker(Waker::noop());
    let mut second = Vec::new();
    for seat in &seats {
        let mut waiting = Box::pin(seat.acquire(MIB));
        if waiting.as_mut().poll(&mut context).is_pending() {
            second.push(waiting);
        }
    }
    assert!(second.len() > SHARDS / 2, "{}", second.len());
    let before = budget.state().waiters.visited;
    // From the last to the first: each gives back what it holds, and gets a page of its own.
    for permit in first.iter_mut().rev() {
        drop(permit.take());
    }
    let visited = budget.state().waiters.visited - before;
    assert!(visited <= 3 * SHARDS, "{visited}");
    for mut waiting in second {
        // Memory that was granted, and that nobody takes, goes back.
        assert!(waiting.as_mut().poll(&mut context).is_ready());
    }
    assert_eq!(budget.used(), 0);
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
