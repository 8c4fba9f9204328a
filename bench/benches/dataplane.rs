//! Each operation of the dataplane in memory: time within the edge alone, one core, no sockets, store `memory`.

use std::time::Duration;

use bench::in_memory::{Floor, Operation};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// More records than the caches of a core hold; where it is only seen that all goes well, as few as serve.
fn desks() -> u32 {
    if std::env::args().any(|argument| argument == "--bench") { 10_000 } else { 8 }
}

fn operations(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dataplane");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3)).sample_size(30);
    group.throughput(Throughput::Elements(1));
    for operation in Operation::ALL {
        // Made when it is asked for: a name on the command line may leave it out.
        let mut floor = None;
        group.bench_function(operation.name(), |bencher| {
            let floor = floor.get_or_insert_with(|| Floor::ready_for(operation, desks()));
            bencher.iter_custom(|times| {
                floor.edge.metered = true;
                for _ in 0..times {
                    floor.perform(operation);
                }
                floor.edge.metered = false;
                floor.edge.take_spent()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, operations);
criterion_main!(benches);
