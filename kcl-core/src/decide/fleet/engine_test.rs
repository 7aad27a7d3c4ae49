use super::super::notation::Mine;
use super::*;
use crate::model::{Checkpoint, Token};

const FAILOVER: Duration = Duration::from_secs(10);

impl FleetSettings {
    /// Those of the worker `ME` of tests: a failover time of 10 s, and room for 100 leases.
    pub(in crate::decide::fleet) fn of_tests() -> Self {
        Self {
            me: "ME".into(),
            timing: Timing::for_failover(Duration::from_secs(10)),
            max_leases: 100,
            max_moves: 8,
            capacity: None,
            audit_every: Duration::from_secs(120),
            reading_ends: false,
        }
    }
}

fn engine(max_leases: usize) -> Engine {
    Engine::new(FleetSettings {
        max_leases,
        ..FleetSettings::of_tests()
    })
}

fn worker(id: &WorkerId) -> WorkerRow {
    WorkerRow::new(id.clone(), Token::new("incarnation"), FAILOVER)
}

fn scan(leases: Vec<Lease>, at: Moment) -> Scan {
    Scan {
        leases,
        workers: vec![worker(&"ME".into())],
        malformed: Vec::new(),
        foreign: crate::lease::ForeignWorkers::default(),
        begun: at,
        ended: at,
    }
}

#[test]
fn the_own_audit_of_a_worker_is_no_news_to_it() {
    let (me, other) = (WorkerId::from("ME"), WorkerId::from("other"));
    let mut engine = engine(10);
    for (id, audits, is_news) in [
        (&me, 1, false),
        (&other, 1, true),
        (&me, 2, false),
        (&other, 2, true),
    ] {
        let mut row = worker(id);
        (row.audits, row.counter) = (audits, audits);
        engine.see_worker(id, Some(row), Moment::default());
        assert_eq!(engine.has_new_audit(), is_news, "{id} {audits}");
    }
}

/// Scans are read with less consistency than single rows, and may be seconds old: a worker that
/// counted an audit twice would put its own off.
#[test]
fn a_scan_from_before_an_audit_does_not_show_it_twice() {
    let mut engine = engine(10);
    let at = |seconds| Moment::from_origin(Duration::from_secs(seconds));
    let other = WorkerId::from("other");
    let before = worker(&other);
    let after = WorkerRow {
        audits: 1,
        ..before.next()
    };
    engine.see_worker(&other, Some(after.clone()), at(1));
    assert!(engine.has_new_audit());
    let mut stale = scan(Vec::new(), at(2));
    stale.workers = vec![before];
    engine.scanned(stale);
    assert!(!engine.has_new_audit());
    engine.see_worker(&other, Some(after), at(3));
    assert!(!engine.has_new_audit(), "it was seen before");
}

#[test]
fn free_leases_are_taken_up_to_the_room_and_none_twice() {
    let mut engine = engine(2);
    let now = Moment::from_origin(FAILOVER);
    let rows = ["1", "2", "3"]
        .map(|key| Lease::new(LeaseKey::single(key), Checkpoint::TrimHorizon))
        .to_vec();
    assert!(engine.scanned(scan(rows.clone(), now)));
    let takes = |commands: &[FleetCommand]| {
        let takes = commands
            .iter()
            .filter(|command| matches!(command, FleetCommand::Take { .. }));
        takes.count()
    };
    let commands = engine.act(now, now, true, &Mine).unwrap();
    assert_eq!(takes(&commands), 2);
    assert_eq!((engine.leases.engaged(), engine.room()), (2, 0));
    let commands = engine.act(now, now, true, &Mine).unwrap();
    assert_eq!(takes(&commands), 0, "they are being taken");
    assert!(
        !engine.scanned(scan(rows, now - Duration::from_secs(1))),
        "an older scan"
    );
}

#[test]
fn a_worker_that_stops_or_is_led_takes_nothing() {
    let now = Moment::from_origin(FAILOVER);
    let rows = vec![Lease::new(LeaseKey::single("1"), Checkpoint::TrimHorizon)];
    let mut stops = engine(2);
    stops.scanned(scan(rows.clone(), now));
    let nothing = [FleetCommand::TellLeft(Vec::new())];
    assert_eq!(stops.act(now, now, false, &Mine).unwrap(), nothing);
    let mut led = engine(2);
    let mut seen = scan(rows, now);
    seen.foreign.leading = Some("a leader".to_owned());
    led.scanned(seen);
    assert_eq!(led.act(now, now, true, &Mine).unwrap(), nothing);
    assert_eq!((led.room(), led.led()), (0, Some("a leader")));
}

#[test]
fn an_unknown_requester_is_looked_up_once_and_then_refused() {
    let mut engine = engine(2);
    let now = Moment::from_origin(FAILOVER);
    let lease = Lease::new(LeaseKey::single("1"), Checkpoint::TrimHorizon);
    engine.scanned(scan(vec![lease.clone()], now));
    let by = WorkerId::from("other");
    let answer = |engine: &Engine, is_read| engine.answer(&lease.key, &by, is_read, now, true);
    assert_eq!(answer(&engine, false), HandOverVerdict::AskTable);
    assert!(matches!(answer(&engine, true), HandOverVerdict::Refuse(_)));
    engine.see_worker(&by, Some(worker(&by)), now);
    assert_eq!(answer(&engine, true), HandOverVerdict::PassOn);
}
