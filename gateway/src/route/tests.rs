//! One table, many spellings: each names the route that takes it, or the reason why none may.

use super::spelling::decode;
use super::*;
use proptest::prelude::*;

const CHAT: RouteId = RouteId(0);
const CHAT_LIST: RouteId = RouteId(1);
const DEPLOYMENT: RouteId = RouteId(2);
const INFER: RouteId = RouteId(3);
const VERB: RouteId = RouteId(4);
const MODEL: RouteId = RouteId(5);
const ROOT: RouteId = RouteId(6);
const SLASH: RouteId = RouteId(7);
const ACME: RouteId = RouteId(8);
const ANY_LABEL: RouteId = RouteId(9);
const V6: RouteId = RouteId(10);
const EVERY_METHOD: RouteId = RouteId(11);

fn table() -> Table {
    let mut builder = TableBuilder::default();
    let mut add = |route, host, methods: &[Method], path| builder.add(route, host, methods, path).unwrap();
    add(CHAT, None, &[Method::POST], "/v1/chat/completions");
    add(CHAT_LIST, None, &[Method::GET, Method::HEAD], "/v1/chat/completions");
    add(DEPLOYMENT, None, &[Method::POST], "/v1/{project}/deployments/{deployment}/chat/completions");
    add(INFER, None, &[Method::POST], "/v1/infers/{id}/{*rest}");
    add(VERB, None, &[Method::GET], "/v1/models/large:stop");
    add(MODEL, None, &[Method::GET], "/v1/models/{model}");
    add(ROOT, None, &[Method::GET], "/");
    add(SLASH, None, &[Method::GET], "/docs/");
    add(ACME, Some("acme.example.com"), &[Method::POST], "/v1/chat/completions");
    add(ANY_LABEL, Some("*.example.com"), &[Method::POST], "/v1/chat/completions");
    add(V6, Some("[::1]"), &[Method::POST], "/v1/chat/completions");
    add(EVERY_METHOD, None, &[], "/all");
    builder.build()
}

fn ambiguous(what: &'static str) -> Result<RouteId, Miss> {
    Err(Miss::Ambiguous { what })
}

const CHARACTER: &str = "path: a character that must be percent-encoded";
const CONTROL: &str = "path: a space or control character";
const DELIMITER: &str = "path: an escaped `/`, `\\`, `;`, `?` or `#`";
const DOTS: &str = "path: a `.` or `..` segment";
const EMPTY: &str = "path: `//`";
const ESCAPED_CONTROL: &str = "path: an escaped control character";
const MALFORMED: &str = "path: `%` without two hexadecimal digits";
const NEEDLESS: &str = "path: an escaped letter, digit, `-`, `.`, `_` or `~`";
const NOT_UTF8: &str = "path: escapes that are not UTF-8";
const OTHER_ROUTE: &str = "path: an escape that changes which route is meant";
const RAW: &str = "path: bytes that must be percent-encoded";
const ROOTED: &str = "path: does not begin with `/`";
const TWICE: &str = "path: percent-encoded twice";

#[test]
fn every_spelling_of_a_path_is_its_route_or_refused() {
    let not_found = || Err(Miss::NotFound);
    #[rustfmt::skip] // one spelling a row
    let cases: &[(&Method, &str, Result<RouteId, Miss>)] = &[
        // as it should be
        (&Method::POST, "/v1/chat/completions", Ok(CHAT)),
        (&Method::GET,  "/v1/chat/completions", Ok(CHAT_LIST)),
        (&Method::HEAD, "/v1/chat/completions", Ok(CHAT_LIST)),
        (&Method::POST, "/v1/p/deployments/d/chat/completions", Ok(DEPLOYMENT)),
        (&Method::POST, "/v1/infers/8e2f/v1/chat", Ok(INFER)),
        (&Method::POST, "/v1/infers/8e2f/a/", Ok(INFER)),
        (&Method::GET,  "/v1/models/pangu-nlp-n1_32k.v2~beta", Ok(MODEL)),
        (&Method::GET,  "/v1/models/large:stop", Ok(VERB)),
        (&Method::GET,  "/v1/models/ft:small@2!$&'()*+,=", Ok(MODEL)),
        (&Method::GET,  "/v1/models/...", Ok(MODEL)),
        (&Method::GET,  "/v1/models/.hidden", Ok(MODEL)),
        (&Method::GET,  "/v1/models/..hidden", Ok(MODEL)),
        (&Method::GET,  "/", Ok(ROOT)),
        (&Method::GET,  "/docs/", Ok(SLASH)),
        (&Method::PUT,  "/all", Ok(EVERY_METHOD)),
        // escapes that may be
        (&Method::GET,  "/v1/models/%E4%B8%AD", Ok(MODEL)),
        (&Method::GET,  "/v1/models/%e4%b8%ad", Ok(MODEL)),
        (&Method::GET,  "/v1/models/%F0%9F%A4%96%20two", Ok(MODEL)),
        (&Method::GET,  "/v1/models/a%20b", Ok(MODEL)),
        (&Method::GET,  "/v1/models/ft%3Asmall", Ok(MODEL)),
        (&Method::GET,  "/v1/models/100%25", Ok(MODEL)),
        (&Method::GET,  "/v1/models/100%25zz", Ok(MODEL)),
        (&Method::GET,  "/v1/models/%7Bmodel%7D", Ok(MODEL)),
        // other paths, not other spellings
        (&Method::POST, "/v1/chat/completions/", not_found()),
        (&Method::GET,  "/docs", not_found()),
        (&Method::POST, "/V1/chat/completions", not_found()),
        (&Method::POST, "/v1/chat/completion", not_found()),
        (&Method::GET,  "/v1/models/", not_found()),
        (&Method::POST, "/v1/infers/8e2f/", not_found()),
        (&Method::POST, "/v1/infers/8e2f", not_found()),
        (&Method::POST, "/v1/p/q/deployments/d/chat/completions", not_found()),
        // empty and dot segments
        (&Method::POST, "//v1/chat/completions", ambiguous(EMPTY)),
        (&Method::POST, "/v1//chat/completions", ambiguous(EMPTY)),
        (&Method::POST, "/v1/chat/completions//", ambiguous(EMPTY)),
        (&Method::GET,  "//", ambiguous(EMPTY)),
        (&Method::POST, "/./v1/chat/completions", ambiguous(DOTS)),
        (&Method::POST, "/v1/./chat/completions", ambiguous(DOTS)),
        (&Method::POST, "/v1/x/../chat/completions", ambiguous(DOTS)),
        (&Method::POST, "/v1/chat/completions/.", ambiguous(DOTS)),
        (&Method::POST, "/v1/chat/completions/..", ambiguous(DOTS)),
        (&Method::POST, "/..", ambiguous(DOTS)),
        (&Method::POST, "/v1/%2e/chat/completions", ambiguous(NEEDLESS)),
        (&Method::POST, "/v1/%2E/chat/completions", ambiguous(NEEDLESS)),
        (&Method::POST, "/v1/x/%2e%2e/chat/completions", ambiguous(NEEDLESS)),
        (&Method::POST, "/v1/x/%2E%2e/chat/completions", ambiguous(NEEDLESS)),
        (&Method::POST, "/v1/x/.%2e/chat/completions", ambiguous(NEEDLESS)),
        (&Method::POST, "/v1/x/%2e./chat/completions", ambiguous(NEEDLESS)),
        // path parameters, backslashes
        (&Method::POST, "/v1/chat/completions;v=1", ambiguous("path: a `;`")),
        (&Method::POST, "/v1/x/..;/chat/completions", ambiguous("path: a `;`")),
        (&Method::POST, "/v1/chat/completions%3Bv=1", ambiguous(DELIMITER)),
        (&Method::POST, "/v1\\chat\\completions", ambiguous("path: a backslash")),
        (&Method::POST, "/v1/x/..\\chat/completions", ambiguous("path: a backslash")),
        (&Method::POST, "/v1%5cchat/completions", ambiguous(DELIMITER)),
        (&Method::POST, "/v1%5Cchat/completions", ambiguous(DELIMITER)),
        (&Method::POST, "/v1%2fchat/completions", ambiguous(DELIMITER)),
        (&Method::POST, "/v1%2Fchat/completions", ambiguous(DELIMITER)),
        // delimiters that end a path elsewhere
        (&Method::POST, "/v1/chat/completions#x", ambiguous("path: a `#`")),
        (&Method::POST, "/v1/chat/completions%23x", ambiguous(DELIMITER)),
        (&Method::POST, "/v1/chat/completions%3Fx", ambiguous(DELIMITER)),
        (&Method::POST, "/v1/chat/completions?x", ambiguous("path: a `?`")),
        // escapes
        (&Method::POST, "/v1/ch%61t/completions", ambiguous(NEEDLESS)),
        (&Method::POST, "/v1/chat/completion%73", ambiguous(NEEDLESS)),
        (&Method::GET,  "/v1/models/pangu%2Dnlp", ambiguous(NEEDLESS)),
        (&Method::GET,  "/v1/models/%7Ebeta", ambiguous(NEEDLESS)),
        (&Method::GET,  "/v1/models/large%3Astop", ambiguous(OTHER_ROUTE)),
        (&Method::GET,  "/v1/models/large%3astop", ambiguous(OTHER_ROUTE)),
        (&Method::POST, "/v1/chat/completions%00", ambiguous(ESCAPED_CONTROL)),
        (&Method::POST, "/v1/chat/completions%0d%0aX:%20y", ambiguous(ESCAPED_CONTROL)),
        (&Method::GET,  "/v1/models/a%7F", ambiguous(ESCAPED_CONTROL)),
        (&Method::GET,  "/v1/models/a%C2%85", ambiguous(ESCAPED_CONTROL)),
        (&Method::POST, "/v1/%2563hat/completions", ambiguous(TWICE)),
        (&Method::POST, "/v1%252fchat/completions", ambiguous(TWICE)),
        (&Method::POST, "/v1/%25%32%65/completions", ambiguous(NEEDLESS)),
        (&Method::POST, "/v1/chat/completions%", ambiguous(MALFORMED)),
        (&Method::POST, "/v1/chat/completions%2", ambiguous(MALFORMED)),
        (&Method::POST, "/v1/chat/%zz", ambiguous(MALFORMED)),
        (&Method::POST, "/v1/chat/%u0063hat", ambiguous(MALFORMED)),
        (&Method::POST, "/v1/chat/% 41", ambiguous(MALFORMED)),
        (&Method::POST, "/v1/chat/%+1", ambiguous(MALFORMED)),
        (&Method::GET,  "/v1/models/%C0%AF", ambiguous(NOT_UTF8)),
        (&Method::GET,  "/v1/models/%E0%80%AF", ambiguous(NOT_UTF8)),
        (&Method::GET,  "/v1/models/%ED%A0%80", ambiguous(NOT_UTF8)),
        (&Method::GET,  "/v1/models/%E4%B8", ambiguous(NOT_UTF8)),
        (&Method::GET,  "/v1/models/%E4%B8-", ambiguous(NOT_UTF8)),
        (&Method::GET,  "/v1/models/%FF", ambiguous(NOT_UTF8)),
        // bytes that have no place in a path
        (&Method::GET,  "/v1/models/中", ambiguous(RAW)),
        (&Method::POST, "/v1/chat\t/completions", ambiguous(CONTROL)),
        (&Method::POST, "/v1/chat/completions ", ambiguous(CONTROL)),
        (&Method::POST, "/v1/chat/completions\0", ambiguous(CONTROL)),
        (&Method::POST, "/v1/chat/completions\x7f", ambiguous(CONTROL)),
        (&Method::GET,  "/v1/models/{model}", ambiguous(CHARACTER)),
        (&Method::GET,  "/v1/models/a|b", ambiguous(CHARACTER)),
        (&Method::GET,  "/v1/models/[a]", ambiguous(CHARACTER)),
        (&Method::GET,  "/v1/models/\"a\"", ambiguous(CHARACTER)),
        // not a path
        (&Method::POST, "", ambiguous(ROOTED)),
        (&Method::OPTIONS, "*", ambiguous(ROOTED)),
        (&Method::POST, "v1/chat/completions", ambiguous(ROOTED)),
        (&Method::POST, "http://example.com/v1/chat/completions", ambiguous(ROOTED)),
        (&Method::POST, "%2Fv1/chat/completions", ambiguous(ROOTED)),
        (&Method::POST, "\\v1/chat/completions", ambiguous(ROOTED)),
    ];
    assert!(cases.len() >= 60);
    let table = table();
    for (method, path, expected) in cases {
        assert_eq!(&table.find("10.0.0.1:8080", method, path), expected, "{method} {path:?}");
    }
}

#[test]
fn every_spelling_of_a_host_is_its_route_or_refused() {
    #[rustfmt::skip] // one spelling a row
    let cases: &[(&str, Result<RouteId, Miss>)] = &[
        ("acme.example.com", Ok(ACME)),
        ("ACME.Example.COM", Ok(ACME)),
        ("acme.example.com:443", Ok(ACME)),
        ("acme.example.com.", Ok(ACME)),
        ("acme.example.com.:443", Ok(ACME)),
        ("other.example.com", Ok(ANY_LABEL)),
        ("OTHER.example.com:65535", Ok(ANY_LABEL)),
        ("one.two.example.com", Ok(CHAT)),
        ("example.com", Ok(CHAT)),
        ("model_1.svc", Ok(CHAT)),
        ("10.0.0.1", Ok(CHAT)),
        ("", Ok(CHAT)),
        ("[::1]", Ok(V6)),
        ("[0:0:0:0:0:0:0:1]:8080", Ok(V6)),
        ("[2001:DB8::1]", Ok(CHAT)),
        ("acme.example.com..", ambiguous("host: an empty label")),
        (".example.com", ambiguous("host: an empty label")),
        ("acme..example.com", ambiguous("host: an empty label")),
        (".", ambiguous("host: an empty label")),
        (":80", ambiguous("host: a port without a name")),
        ("acme.example.com:", ambiguous("host: not a port")),
        ("acme.example.com:http", ambiguous("host: not a port")),
        ("acme.example.com:65536", ambiguous("host: not a port")),
        ("acme.example.com:000443", ambiguous("host: not a port")),
        ("acme.example.com:+443", ambiguous("host: not a port")),
        ("acme.example.com:80:80", ambiguous("host: not a port")),
        ("::1", ambiguous("host: a port without a name")),
        ("acme example.com", ambiguous("host: a character no host name has")),
        ("user@acme.example.com", ambiguous("host: a character no host name has")),
        ("acme.example.com/x", ambiguous("host: a character no host name has")),
        ("acme.example.com,other.example.com", ambiguous("host: a character no host name has")),
        ("acme%2Eexample.com", ambiguous("host: a character no host name has")),
        ("例.example.com", ambiguous("host: a character no host name has")),
        ("acme.example.com\0", ambiguous("host: a character no host name has")),
        ("[::1", ambiguous("host: `[` without `]`")),
        ("[::1]x", ambiguous("host: characters after `]`")),
        ("[::1]:x", ambiguous("host: not a port")),
        ("[::1%25eth0]", ambiguous("host: not an IPv6 address")),
        ("[acme]", ambiguous("host: not an IPv6 address")),
    ];
    let table = table();
    for (host, expected) in cases {
        assert_eq!(&table.find(host, &Method::POST, "/v1/chat/completions"), expected, "{host:?}");
    }
    let long = "a".repeat(254);
    assert_eq!(table.find(&long, &Method::GET, "/"), ambiguous("host: longer than a name can be"));
}

#[test]
fn a_known_path_with_another_method_says_what_is_allowed() {
    let allow = |host, method: &str, path| match table().find(
        host,
        &Method::from_bytes(method.as_bytes()).unwrap(),
        path,
    ) {
        Err(Miss::Method { allow }) => allow.to_str().unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(allow("x", "DELETE", "/v1/chat/completions"), "POST, GET, HEAD");
    assert_eq!(allow("x", "get", "/v1/chat/completions"), "POST, GET, HEAD", "methods have one case");
    assert_eq!(allow("x", "PURGE", "/v1/models/m"), "GET");
    assert_eq!(allow("acme.example.com", "GET", "/v1/chat/completions"), "POST", "the closest host decides");
    assert_eq!(
        table().find("acme.example.com", &Method::GET, "/v1/models/m"),
        Ok(MODEL),
        "if it knows the path"
    );
}

#[test]
fn methods_without_a_bit_are_told_apart_by_name() {
    let method = |name: &str| Method::from_bytes(name.as_bytes()).unwrap();
    let mut builder = TableBuilder::default();
    builder.add(RouteId(0), None, &[method("PURGE"), Method::PUT], "/x").unwrap();
    builder.add(RouteId(1), None, &[method("BAN")], "/x").unwrap();
    let again = builder.add(RouteId(2), None, &[Method::GET, method("BAN")], "/x");
    assert_eq!(again, Err(Conflict::Taken { other: RouteId(1) }));
    let table = builder.build();
    assert_eq!(table.find("h", &method("PURGE"), "/x"), Ok(RouteId(0)));
    assert_eq!(table.find("h", &method("BAN"), "/x"), Ok(RouteId(1)));
    assert!(
        matches!(table.find("h", &Method::GET, "/x"), Err(Miss::Method { .. })),
        "a refused route adds nothing"
    );
}

#[test]
fn two_routes_for_one_request_are_a_conflict() {
    let mut builder = TableBuilder::default();
    let mut add = |id, host, methods: &[Method], path| builder.add(RouteId(id), host, methods, path);
    let taken = |other| Err(Conflict::Taken { other: RouteId(other) });
    assert_eq!(add(0, None, &[Method::GET, Method::POST], "/v1/{a}/x"), Ok(()));
    assert_eq!(add(1, None, &[Method::POST], "/v1/{b}/x"), taken(0), "names of parameters do not matter");
    assert_eq!(add(1, None, &[Method::PUT], "/v1/{b}/x"), Ok(()));
    assert_eq!(add(2, None, &[], "/v1/{c}/x"), taken(0), "no methods are all methods");
    assert_eq!(add(3, Some("h"), &[], "/v1/{a}/x"), Ok(()), "another host, other requests");
    assert_eq!(add(4, Some("h"), &[Method::GET], "/v1/{a}/x"), taken(3));
    assert_eq!(add(5, Some("*.h"), &[], "/v1/{a}/x"), Ok(()));
    assert_eq!(add(6, None, &[], "/v1/x/x"), Ok(()), "a literal goes before a parameter");
}

/// What an operator reads; the help is part of the promise.
#[test]
fn a_bad_pattern_says_what_to_write() {
    let problem = |host: Option<&str>, path: &str| {
        let mut builder = TableBuilder::default();
        builder.add(RouteId(0), None, &[], "/v1/{id}").unwrap();
        match builder.add(RouteId(1), host, &[], path) {
            Err(Conflict::Pattern { what, help }) => format!("{what} -> {help}"),
            other => panic!("{path}: {other:?}"),
        }
    };
    #[rustfmt::skip] // one pattern a row
    let paths = [
        ("v1/x", "path `v1/x`: does not begin with `/` -> write `/v1/x`"),
        ("", "path ``: does not begin with `/` -> write `/`"),
        ("/v2/{a}-x", "path `/v2/{a}-x`: `{a}-x` mixes text and a parameter -> a parameter is a whole segment: `/{name}/`"),
        ("/v2/{a}{b}", "path `/v2/{a}{b}`: `{a}{b}` mixes text and a parameter -> a parameter is a whole segment: `/{name}/`"),
        ("/v2/{a", "path `/v2/{a`: `{a` mixes text and a parameter -> a parameter is a whole segment: `/{name}/`"),
        ("/v2/{}", "path `/v2/{}`: `{}` is not a parameter -> write a name of letters, digits and `_`: `{name}` or `{*rest}`"),
        ("/v2/{*}", "path `/v2/{*}`: `{*}` is not a parameter -> write a name of letters, digits and `_`: `{name}` or `{*rest}`"),
        ("/v2/{a b}", "path `/v2/{a b}`: `{a b}` is not a parameter -> write a name of letters, digits and `_`: `{name}` or `{*rest}`"),
        ("/v2/{*a}/x", "path `/v2/{*a}/x`: something follows a `{*…}` -> `{*rest}` takes all that follows: put it last, or write `{name}` for one segment"),
        ("/v2/{a}/{a}", "path `/v2/{a}/{a}`: two parameters are named `a` -> give each parameter a name of its own"),
        ("/v2//x", "path `/v2//x`: `//` -> requests with such a path are refused, so no pattern may have it"),
        ("/v2/../x", "path `/v2/../x`: a `.` or `..` segment -> requests with such a path are refused, so no pattern may have it"),
        ("/v2/x?y", "path `/v2/x?y`: a `?` -> requests with such a path are refused, so no pattern may have it"),
        ("/v2/a%20b", "path `/v2/a%20b`: a literal segment has an escape -> take a `{name}` for a segment with escapes: it matches them in any spelling"),
        ("/v1/{*rest}", "path `/v1/{*rest}` and path `/v1/{id}` can match the same request, and neither goes first -> \
            at one place in a path there may be literals and one of `{name}` or `{*rest}`; \
            put the routes on different hosts, or make a segment before them differ"),
    ];
    for (path, expected) in paths {
        assert_eq!(problem(None, path), expected);
    }
    #[rustfmt::skip]
    let hosts = [
        ("Acme.com", "host `Acme.com`: not in the spelling requests are compared in -> write `acme.com`: lower case, no port, no final dot"),
        ("*.acme.com.", "host `*.acme.com.`: not in the spelling requests are compared in -> write `*.acme.com`: lower case, no port, no final dot"),
        ("acme.com:443", "host `acme.com:443`: not in the spelling requests are compared in -> write `acme.com`: lower case, no port, no final dot"),
        ("*", "host `*`: `*` at the wrong place -> write `*.` once, at the front, for any one label; leave `host` out for every host"),
        ("a.*.com", "host `a.*.com`: `*` at the wrong place -> write `*.` once, at the front, for any one label; leave `host` out for every host"),
        ("", "host ``: is empty -> write a host name, or leave `host` out for every host"),
        ("a/b", "host `a/b`: a character no host name has -> write a host name or address such as `api.example.com`, `*.example.com`, `[::1]`"),
    ];
    for (host, expected) in hosts {
        assert_eq!(problem(Some(host), "/v2"), expected);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered(host in "\\PC*", path in prop::collection::vec(any::<u8>(), 0..64)) {
        let path = String::from_utf8_lossy(&path);
        let _ = table().find(&host, &Method::GET, &path);
        let _ = Host::parse(&path);
    }

    /// Decoding an accepted path once or twice, or not at all, leaves its segments where they are.
    #[test]
    fn an_accepted_path_has_one_reading(path in "/([a-z./%;:]|%[0-9A-Fa-f]{2}|%25|%E4%B8%AD){0,12}") {
        prop_assume!(spelling(&path).is_ok());
        let once = decode(&path).into_owned();
        prop_assert_eq!(decode(&once), once.as_str(), "nothing is left to decode");
        let segments: Vec<&str> = once.split('/').collect();
        prop_assert_eq!(segments.len(), path.split('/').count());
        prop_assert!(segments.iter().all(|segment| *segment != "." && *segment != ".."));
        prop_assert!(segments[1..segments.len() - 1].iter().all(|segment| !segment.is_empty()));
        prop_assert!(!once.contains(|c: char| c.is_control() || "\\;?#".contains(c)));
    }

    #[test]
    fn a_host_read_again_is_itself(host in "[A-Za-z0-9.:_\\[\\]-]{0,20}") {
        if let Ok(found) = Host::parse(&host) {
            prop_assert_eq!(Host::parse(found.as_str()), Ok(found.clone()));
        }
    }
}
