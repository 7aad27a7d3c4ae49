//! What a simulated fleet costs.

use kcl_core::worker::Liveness;
use tests::sim::bill;

/// By the rules in the docs of `kcl-dynamo`.
#[test]
fn heartbeats_cost_by_worker_and_renewals_by_lease() {
    let writes = |liveness| bill(8, 2, 10_000, liveness).unwrap().writes;
    let (auto, compatible, kcl) = (
        writes(Liveness::Auto),
        writes(Liveness::Compatible),
        writes(Liveness::Kcl),
    );
    // 18 heartbeats a minute of each worker, of which there are three for a while, and a record of
    // each lease in ten minutes.
    assert!((36.0..44.0).contains(&auto), "{auto}");
    // 8 to 9 leases more: a counter each 7 s, and a renewal each 3.3 s.
    assert!((60.0..90.0).contains(&(compatible - auto)), "{compatible}");
    assert!((130.0..170.0).contains(&(kcl - auto)), "{kcl}");
}
