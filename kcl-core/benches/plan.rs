//! What it costs a worker to decide which leases to take and to ask for, after each scan: for 200
//! workers, and for as many leases as show how that grows.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use kcl_core::testing::fleet::{FleetScene, SeenFleet};

const WORKERS: usize = 200;

fn plan(criterion: &mut Criterion) {
    for (name, scene) in [
        ("calm", FleetScene::Calm),
        ("one-came", FleetScene::OneCame),
        ("half-came", FleetScene::HalfCame),
        ("one-has-all", FleetScene::OneHasAll),
        ("one-died", FleetScene::OneDied),
        ("all-free", FleetScene::AllFree),
    ] {
        let mut group = criterion.benchmark_group(format!("plan/{name}"));
        group.sample_size(20);
        for leases in [1_000, 10_000] {
            let fleet = SeenFleet::new(leases, WORKERS, scene);
            group.bench_with_input(
                BenchmarkId::from_parameter(leases),
                &fleet,
                |bench, fleet| {
                    bench.iter(|| fleet.plan());
                },
            );
        }
        group.finish();
    }
}

criterion_group!(benches, plan);
criterion_main!(benches);
