//! What it costs to find a route, with 1, 20 and 1,000 routes in the table.

use criterion::{Criterion, criterion_group, criterion_main};
use http::Method;
use pangu_gateway::ids::RouteId;
use pangu_gateway::route::{Table, TableBuilder, spelling};
use std::hint::black_box;

const HOST: &str = "gateway.example.com:8443";
const CHAT: &str = "/v1/0f5a7c2e/deployments/1d9b6e42/chat/completions";

fn route_find(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route_find");
    for count in [1, 20, 1000] {
        let table = table(count);
        group.bench_function(format!("{count} routes"), |bencher| {
            bencher.iter(|| table.find(black_box(HOST), &Method::POST, black_box(CHAT)))
        });
    }
    let table = table(20);
    group.bench_function("20 routes, escaped", |bencher| {
        bencher.iter(|| table.find(black_box(HOST), &Method::GET, black_box("/v1/models/%E4%B8%AD")))
    });
    group.bench_function("20 routes, none fits", |bencher| {
        bencher.iter(|| table.find(black_box(HOST), &Method::GET, black_box("/v2/models/pangu/versions")))
    });
    group.bench_function("spelling alone", |bencher| bencher.iter(|| spelling(black_box(CHAT))));
    group.finish();
}

/// The chat route and then others like those of real policies, some on hosts of their own.
fn table(count: u16) -> Table {
    let mut builder = TableBuilder::default();
    let mut add = |id, host, method, path: &str| {
        builder.add(RouteId(id), host, &[method], path).expect("every pattern differs");
    };
    add(0, None, Method::POST, "/v1/{project}/deployments/{deployment}/chat/completions");
    for id in 1..count {
        match id % 4 {
            0 => add(id, Some("acme.example.com"), Method::POST, &format!("/v1/infers/{id}/{{*rest}}")),
            1 if id == 1 => add(id, None, Method::GET, "/v1/models/{model}"),
            1 => add(id, None, Method::GET, &format!("/v1/models/{id}/versions/{{version}}")),
            2 => {
                add(id, None, Method::POST, &format!("/v1/{{project}}/deployments/{{deployment}}/task-{id}"))
            }
            _ => add(id, Some("*.models.example.com"), Method::POST, &format!("/api/{id}/chat/completions")),
        }
    }
    builder.build()
}

criterion_group!(benches, route_find);
criterion_main!(benches);
