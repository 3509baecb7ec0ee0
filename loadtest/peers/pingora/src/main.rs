//! A reference proxy on pingora-proxy, with the policy that every peer of the comparison has: the AppCode names the
//! caller, three rates bound it, a body has a longest length, the AppCode stays here and the tenant goes along, and
//! each request leaves a line in a log.
//!
//! It is written as somebody who knows pingora would write it for speed: one worker without work stealing, limits by
//! `pingora-limits`, header values made at start, lines gathered in a buffer.

mod access_log;
mod callers;
mod policy;

use std::process::ExitCode;

use pingora_core::listeners::tls::TlsSettings;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::services::background::background_service;
use pingora_error::{OrErr, Result};

use access_log::AccessLog;
use callers::Callers;
use policy::Policy;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: pangu-peer-pingora HTTP_ADDRESS HTTPS_ADDRESS ORIGIN CALLERS CERTIFICATE KEY LOG";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Ok(words) = <[String; 7]>::try_from(words) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    match serve(&words) {
        Ok(never) => match never {},
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal ends it.
fn serve(
    [http, https, origin, callers, certificate, key, log]: &[String; 7],
) -> Result<std::convert::Infallible> {
    let callers = Callers::read(callers.as_ref())
        .or_err_with(pingora_error::ErrorType::FileReadError, || format!("callers {callers}"))?;
    let origin =
        origin.parse().or_err(pingora_error::ErrorType::InternalError, "ORIGIN is not an address")?;
    let log = AccessLog::open(log.as_ref())
        .or_err_with(pingora_error::ErrorType::FileOpenError, || format!("log {log}"))?;

    // A worker with a queue of its own is the faster of pingora's two runtimes; the pool holds what 256 streams need.
    let configuration = ServerConf {
        threads: 1,
        work_stealing: false,
        upstream_keepalive_pool_size: 512,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, configuration);
    server.bootstrap();

    let flusher = background_service("access log", log.clone());
    let policy = Policy::new(callers, log, origin);
    let mut proxy = pingora_proxy::http_proxy_service(&server.configuration, policy);
    proxy.add_tcp(http);
    let mut tls = TlsSettings::intermediate(certificate, key)?;
    tls.enable_h2();
    proxy.add_tls_with_settings(https, None, tls);
    server.add_service(proxy);
    server.add_service(flusher);
    server.run_forever()
}
