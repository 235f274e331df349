//! The time to read a plugin's configuration, and to edit SPIRE's.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hcl::edit::{NodeAttestor, Placement, Variables, set_node_attestor};
use hcl::{Duration, Fields, Port};
use serde_json::{Map, Value};

fn read(text: &str) -> usize {
    let Ok(mut fields) = Fields::parse(text) else { return usize::MAX };
    black_box(fields.take::<String>("keylime_verifier_host"));
    black_box(fields.take::<Port>("keylime_verifier_port"));
    black_box(fields.take::<Duration>("max_attestation_age"));
    black_box(fields.take::<bool>("can_reattest"));
    fields.finish().len()
}

fn parse(criterion: &mut Criterion) {
    let data = include_str!("../testdata/plugin-data.hcl");
    criterion.bench_function("hcl/plugin_data", |bencher| bencher.iter(|| read(black_box(data))));

    let server = include_str!("../testdata/chart-server.conf");
    let data = Map::from_iter([("keylime_verifier_host".to_owned(), Value::from("verifier"))]);
    let checksum = "00".repeat(32);
    let element = NodeAttestor {
        name: "keylime",
        plugin_cmd: "/opt/keylime-attestor/keylime-attestor-server",
        plugin_checksum: Some(&checksum),
        plugin_data: &data,
    };
    criterion.bench_function("hcl/edit_chart_server", |bencher| {
        bencher.iter(|| set_node_attestor(black_box(server), &element, Placement::Beside, Variables::Kept));
    });

    // The worst that fits: everything on one line, and every attestor goes.
    let items: String = (0..40_000).map(|i| format!("NodeAttestor \"n{i}\" {} ", "{}")).collect();
    let line = format!("plugins {{ {items}}}");
    criterion.bench_function("hcl/edit_agent_one_line_1MB", |bencher| {
        bencher.iter(|| set_node_attestor(black_box(&line), &element, Placement::Sole, Variables::Kept));
    });
    let members: Vec<String> = (0..30_000).map(|i| format!("\"NodeAttestor\":{{\"n{i}\":{{}}}}")).collect();
    let json = format!("{{\"plugins\":{{{}}}}}", members.join(","));
    criterion.bench_function("hcl/edit_agent_json_1MB", |bencher| {
        bencher.iter(|| set_node_attestor(black_box(&json), &element, Placement::Sole, Variables::Kept));
    });
}

criterion_group!(benches, parse);
criterion_main!(benches);
