//! End to end, against the real programs: before traffic, then the walk of one request, then what runs alongside.

mod support;

mod startup;
mod tls;

mod connections;
mod framing;
mod paths;

mod auth;
mod caps;
mod iam;
mod limits;
mod oracle;
mod refusals;
mod tokens;

mod queue;

mod pools;

mod credentials;
mod discovery;
mod dns;
mod grpc;
mod headers;
mod health;
mod retry;
mod stream;
mod upstream;
mod upstream_http1;
mod upstream_http2;
mod upstream_tls;
mod websocket;

mod tcp;

mod budgets;
mod reload;
mod shutdown;

mod admin;
mod explain;
mod logs;
mod statistics;

mod footprint;
mod load;
