use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use proptest::prelude::*;

use super::*;
use crate::model::{Moment, Timestamp};

const MIB: usize = 1024 * 1024;

/// When each span is over on a clock that stands.
#[derive(Debug)]
enum Over {
    AtOnce,
    /// The first of them at once, the others never.
    Once(AtomicBool),
    Never,
}

#[async_trait]
impl Clock for Over {
    fn now(&self) -> Moment {
        Moment::default()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    async fn sleep_until(&self, _: Moment) {
        let is_over = match self {
            Self::AtOnce => true,
            Self::Once(was) => !was.swap(true, Ordering::Relaxed),
            Self::Never => false,
        };
        if !is_over {
            std::future::pending::<()>().await;
        }
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn now<F: Future>(future: F) -> Option<F::Output> {
    poll(pin!(future))
}

/// What a shard has while it waits for an event of unknown size.
fn small(seat: &BudgetShare) -> Permit {
    let mut permit = now(seat.acquire(1)).unwrap();
    permit.correct(1);
    permit
}

/// Room for an event of this size, if there is any now.
fn event(seat: &BudgetShare, bytes: usize) -> Option<Permit> {
    let mut permit = small(seat);
    now(seat.enlarge(&mut permit, bytes, &Over::Never)).map(|()| permit)
}

/// A budget of 64 MiB with these many shards: half of it is set aside in equal parts.
fn budget(shards: usize) -> (ByteBudget, Vec<BudgetShare>) {
    let budget = ByteBudget::new(64 * MIB).unwrap();
    let seats = (0..shards).map(|_| budget.seat()).collect();
    (budget, seats)
}

#[test]
fn events_share_the_pool_in_the_order_in_which_they_began() {
    let (budget, seats) = budget(32);
    // 1 MiB of each is what is set aside: the pool has room for three.
    let mut held: Vec<_> = seats[..3]
        .iter()
        .map(|seat| event(seat, 11 * MIB).unwrap())
        .collect();
    let (mut fourth, mut fifth) = (small(&seats[3]), small(&seats[4]));
    let mut waits = Box::pin(seats[3].enlarge(&mut fourth, 11 * MIB, &Over::Never));
    assert!(poll(waits.as_mut()).is_none());
    let mut behind = Box::pin(seats[4].enlarge(&mut fifth, 3 * MIB, &Over::Never));
    assert!(
        poll(behind.as_mut()).is_none(),
        "a small one does not overtake a large one"
    );
    // What it needs after it was received is less.
    held[0].correct(4 * MIB);
    assert!(poll(waits.as_mut()).is_none());
    held.pop();
    assert!(poll(waits.as_mut()).is_some() && poll(behind.as_mut()).is_some());
    assert!(budget.used() <= budget.total());
    drop((waits, behind));
    assert_eq!((fourth.bytes(), fifth.bytes()), (11 * MIB, 3 * MIB));
    drop((held, fourth, fifth));
    assert_eq!(budget.used(), 0);
}

#[test]
fn an_event_that_is_given_up_keeps_nobody_waiting() {
    let (_budget, seats) = budget(32);
    let _held: Vec<_> = seats[..3]
        .iter()
        .map(|seat| event(seat, 11 * MIB).unwrap())
        .collect();
    let (mut first, mut second) = (small(&seats[3]), small(&seats[4]));
    let mut given_up = Box::pin(seats[3].enlarge(&mut first, 11 * MIB, &Over::Never));
    assert!(poll(given_up.as_mut()).is_none());
    let mut behind = pin!(seats[4].enlarge(&mut second, 2 * MIB, &Over::Never));
    assert!(poll(behind.as_mut()).is_none());
    drop(given_up);
    // Whatever comes free, all who wait are looked at.
    drop(event(&seats[5], MIB / 2));
    assert!(poll(behind.as_mut()).is_some());
}

#[test]
fn nothing_goes_beyond_the_budget_while_an_event_is_received() {
    let (budget, seats) = budget(32);
    let _received: Vec<_> = seats[..3]
        .iter()
        .map(|seat| event(seat, 11 * MIB).unwrap())
        .collect();
    let mut permit = small(&seats[3]);
    let clock = Over::Once(AtomicBool::new(false));
    assert!(now(seats[3].enlarge(&mut permit, 11 * MIB, &clock)).is_none());
    assert!(budget.used() <= budget.total());
}

#[test]
fn a_stopped_handler_keeps_no_other_waiting_at_a_standstill() {
    let (_budget, seats) = budget(32);
    let mut stopped: Vec<_> = seats[..3]
        .iter()
        .map(|seat| event(seat, 11 * MIB).unwrap())
        .collect();
    stopped
        .iter_mut()
        .for_each(|permit| permit.correct(11 * MIB));
    let (mut second, mut other) = (small(&seats[0]), small(&seats[3]));
    let mut waits = pin!(seats[0].enlarge(&mut second, 11 * MIB, &Over::Never));
    assert!(poll(waits.as_mut()).is_none());
    assert!(
        now(seats[3].enlarge(&mut other, 11 * MIB, &Over::Once(AtomicBool::new(false)))).is_some()
    );
}

#[test]
fn what_is_set_aside_for_a_shard_is_there_at_once_whoever_waits() {
    let (_budget, seats) = budget(32);
    let _held: Vec<_> = seats[..3]
        .iter()
        .map(|seat| event(seat, 11 * MIB).unwrap())
        .collect();
    let mut permit = small(&seats[3]);
    let mut waits = pin!(seats[3].enlarge(&mut permit, 11 * MIB, &Over::Never));
    assert!(poll(waits.as_mut()).is_none());
    assert!(seats[4..].iter().all(|seat| event(seat, MIB).is_some()));
}

#[test]
fn a_stopped_handler_keeps_at_most_one_event_or_its_share() {
    let (budget, seats) = budget(16);
    // Shares of 4 MiB.
    let mut stopped = vec![event(&seats[0], 6 * MIB).unwrap()];
    assert!(event(&seats[0], 3 * MIB).is_none(), "though there is room");
    let mut more = small(&seats[0]);
    let mut waits = Box::pin(seats[0].enlarge(&mut more, 3 * MIB, &Over::Never));
    assert!(poll(waits.as_mut()).is_none());
    assert!(
        event(&seats[1], 20 * MIB).is_some(),
        "it keeps nobody else waiting"
    );
    assert!(now(seats[2].acquire(20 * MIB)).is_some_and(|permit| permit.bytes() == 20 * MIB));
    assert!(poll(waits.as_mut()).is_none());
    stopped.clear();
    assert!(poll(waits.as_mut()).is_some(), "its own handler is done");
    drop(waits);
    assert!(
        event(&seats[0], MIB).is_some(),
        "within its share it has more than one"
    );
    drop(more);
    assert_eq!(budget.used(), 0);
}

#[test]
fn who_polls_does_not_overtake_an_event_that_waits() {
    let (_budget, seats) = budget(4);
    let held = event(&seats[0], 30 * MIB).unwrap();
    let mut permit = small(&seats[1]);
    let mut waits = pin!(seats[1].enlarge(&mut permit, 30 * MIB, &Over::Never));
    assert!(poll(waits.as_mut()).is_none());
    let page = now(seats[2].acquire(10 * MIB)).unwrap();
    assert_eq!(page.bytes(), 8 * MIB, "what is set aside, at once");
    let mut prefetch = pin!(seats[2].acquire(MIB));
    assert!(poll(prefetch.as_mut()).is_none());
    drop(held);
    assert!(poll(waits.as_mut()).is_some() && poll(prefetch.as_mut()).is_some());
}

/// The room of the event that was received serves the next one.
#[test]
fn events_are_received_though_all_handlers_have_stopped() {
    let (budget, seats) = budget(32);
    let mut stopped: Vec<_> = seats[..3]
        .iter()
        .map(|seat| event(seat, 11 * MIB).unwrap())
        .collect();
    // They have been received, and are as large as that.
    stopped
        .iter_mut()
        .for_each(|permit| permit.correct(11 * MIB));
    let mut first = small(&seats[3]);
    assert!(now(seats[3].enlarge(&mut first, 11 * MIB, &Over::Never)).is_none());
    assert!(now(seats[3].enlarge(&mut first, 11 * MIB, &Over::AtOnce)).is_some());
    let (mut second, mut third) = (small(&seats[4]), small(&seats[5]));
    let mut next = Box::pin(seats[4].enlarge(&mut second, 11 * MIB, &Over::Never));
    let mut last = Box::pin(seats[5].enlarge(&mut third, 11 * MIB, &Over::Never));
    assert!(poll(next.as_mut()).is_none() && poll(last.as_mut()).is_none());
    drop(first);
    assert!(
        poll(next.as_mut()).is_some(),
        "at once, though nothing of the budget is free"
    );
    assert!(poll(last.as_mut()).is_none(), "one at a time");
    drop(next);
    drop(second);
    assert!(poll(last.as_mut()).is_some());
    drop(last);
    drop((third, stopped));
    assert_eq!(budget.used(), 0);
    // The budget is what it was.
    let held: Vec<_> = seats[..3]
        .iter()
        .map(|seat| event(seat, 11 * MIB).unwrap())
        .collect();
    assert!(event(&seats[3], 11 * MIB).is_none());
    drop(held);
}

#[test]
fn while_events_are_received_nothing_stands_still() {
    let (budget, seats) = budget(32);
    let mut held: Vec<_> = seats[..3]
        .iter()
        .map(|seat| event(seat, 11 * MIB).unwrap())
        .collect();
    let mut permit = small(&seats[3]);
    let mut waits = pin!(seats[3].enlarge(&mut permit, 11 * MIB, &Over::Never));
    assert!(poll(waits.as_mut()).is_none());
    let seen = || budget.state().events.moved;
    let exceed = |since| budget.exceed(seats[3].id, since);
    exceed(seen());
    assert!(poll(waits.as_mut()).is_none(), "three are being received");
    held[0].correct(11 * MIB);
    held[1].correct(11 * MIB);
    exceed(seen());
    assert!(poll(waits.as_mut()).is_none(), "one is");
    let before = seen();
    held[2].correct(11 * MIB);
    exceed(before);
    assert!(poll(waits.as_mut()).is_none(), "one was");
    exceed(seen());
    assert!(poll(waits.as_mut()).is_some());
    assert_eq!(budget.state().events.receiving, 1);
}

#[test]
fn an_event_larger_than_the_budget_could_ever_give_is_received() {
    let (budget, seats) = budget(1);
    let permit = event(&seats[0], usize::MAX).unwrap();
    assert_eq!(permit.bytes(), budget.total());
}

proptest! {
    #[test]
    fn the_count_stays_within_the_budget_and_comes_back_to_nothing(
        steps in prop::collection::vec((0_usize..6, 0_u8..5, 1_usize..24), 1..200),
    ) {
        let (budget, seats) = budget(6);
        let mut permits: Vec<Vec<Permit>> = (0..6).map(|_| Vec::new()).collect();
        for (seat, action, mib) in steps {
            match action {
                0 => drop(permits[seat].pop()),
                1 => permits[seat].extend(now(seats[seat].acquire(mib * MIB))),
                2 => if let Some(permit) = permits[seat].last_mut() {
                    let less = permit.bytes() / 2;
                    permit.correct(less);
                },
                _ => if let Some(mut permit) = now(seats[seat].acquire(MIB)) {
                    let before = permit.bytes();
                    if now(seats[seat].enlarge(&mut permit, mib * MIB, &Over::Never)).is_some() {
                        prop_assert_eq!(permit.bytes(), before.max(mib * MIB));
                        permits[seat].push(permit);
                    }
                },
            }
            prop_assert!(budget.used() <= budget.total());
            prop_assert_eq!(budget.used(), permits.iter().flatten().map(Permit::bytes).sum::<usize>());
        }
        drop(permits);
        prop_assert_eq!(budget.used(), 0);
        prop_assert_eq!(budget.state().events.receiving, 0);
    }
}
