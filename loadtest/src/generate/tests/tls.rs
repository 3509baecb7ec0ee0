//! TLS, in front of the mock.

use super::*;

#[test]
fn tls_is_verified_and_agrees_on_the_protocol() {
    let mock = mock(Behaviour::default());
    let (address, trust) = tls_before(&mock, &["h2", "http/1.1"]);
    let (bare, trust_bare) = tls_before(&mock, &[]);
    let totals = |http, host: &str, address, trust: &Arc<ClientConfig>| {
        let mut scenario = scenario();
        scenario.load = open(100.0, 100);
        scenario.connections.tls = true;
        scenario.connections.http = http;
        let (host, tls) = (host.to_owned(), Some(Arc::clone(trust)));
        run(&scenario, &Options { host, tls, ..Options::to(address) }).unwrap().report.totals
    };
    for (http, version) in [(Http::One, "HTTP/1.1"), (Http::Two, "HTTP/2.0")] {
        let seen = totals(http, "gateway.example:8443", address, &trust);
        assert_eq!(seen.ok, 10, "{:?}", seen.failures);
        assert!(mock.requests(10).iter().all(|record| record.version == version));
    }
    let seen = totals(Http::One, "somebody.example", address, &trust);
    assert!(seen.failed == 10 && seen.failures[0].0.starts_with("TLS handshake: invalid peer certificate"));
    let seen = totals(Http::Two, "gateway.example", bare, &trust_bare);
    assert_eq!((seen.ok, seen.failed), (0, 10));
    assert!(seen.failures[0].0.contains("does not speak HTTP/2"), "{:?}", seen.failures);
}

/// Speaks TLS on a free port, hands the bytes on to `mock`, and gives the address and whom to trust.
fn tls_before(mock: &Mock, alpn: &[&str]) -> (SocketAddr, Arc<ClientConfig>) {
    let key = rcgen::generate_simple_self_signed(["gateway.example".to_owned()]).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(key.cert.der().clone()).unwrap();
    let trust = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let chain = vec![key.cert.der().clone()];
    let secret = rustls::pki_types::PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
    let mut served =
        rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, secret).unwrap();
    served.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(served));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let (address, target) = (listener.local_addr().unwrap(), mock.address());
    std::thread::spawn(move || {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((tcp, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::task::spawn_local(async move {
                    let mut tls = acceptor.accept(tcp).await?;
                    let mut onward = tokio::net::TcpStream::connect(target).await?;
                    tokio::io::copy_bidirectional(&mut tls, &mut onward).await
                });
            }
        });
    });
    (address, Arc::new(trust))
}
