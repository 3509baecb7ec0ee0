//! Who the gateway is to backends: what it shows them, that it holds, and that nothing of a caller's gets beside it.

mod client_certificate;
mod signature;

use crate::support::*;
use harness::certs::write_whole;
use harness::gateway::{BATCH_APP_CODE, CHAT_API_KEY};
use harness::{Gateway, Mock, Request, Setup, eventually};

/// What the gateway shows. Like those of callers, these are canaries.
const SECRETS: [(&str, &str); 6] = [
    ("UP_AK", "AKUPSTREAM"),
    ("UP_SK", "canary-upstream-secret-key"),
    ("UP_TOKEN", "canary-upstream-token=="),
    ("UP_CODE", "canary-upstream-app-code"),
    ("UP_KEY", "canary-upstream-api-key"),
    ("UP_HEADER", "canary-upstream-header"),
];

/// Routes with and without authentication to one pool with this credential.
fn policy(credential: &str) -> String {
    format!(
        r#"
pools:
  - name: models
    backends: [{{url: "http://127.0.0.1:9100/v1/infers"}}]
    credential: {credential}
plans:
  wide: [{{name: tenant-rps, per: tenant, requests: 100000/s}}]
tenants:
  - name: acme
    plan: wide
    users: [{{name: chat, api_key: {{env: CHAT_API_KEY}}}}]
routes:
  - {{name: keyed, match: {{path: "/keyed/{{*rest}}"}}, api: plain, auth: [api_key], pool: models, body_max: 16MiB}}
  - {{name: open, match: {{path: "/open/{{*rest}}"}}, api: plain, auth: none, pool: models, body_max: 16MiB}}
"#
    )
}

fn set_up(setup: Setup) -> Setup {
    SECRETS.iter().fold(setup, |setup, (name, value)| setup.env(name, value))
}

fn start_showing(credential: &str) -> (Mock, Gateway) {
    let mock = Mock::start();
    let gateway = set_up(Setup::new(&mock)).policy(&policy(credential)).start();
    (mock, gateway)
}

/// Everything by which a caller could show who it is, or choose for whom the gateway acts.
fn with_credentials(request: Request) -> Request {
    let names = [
        "X-Apig-AppCode",
        "x_apig_appcode",
        "x.apig.appcode",
        "X-Auth-Token",
        "X_Auth_Token",
        "x-security-token",
        "X-Sdk-Date",
        "x_sdk_date",
        "X-Sdk-Content-Sha256",
        "x-hw-id",
        "X-HW-AppKey",
        "apikey",
        "api-key",
        "X-Api-Key",
        "x_api_key",
    ];
    names.into_iter().fold(request, |request, name| request.header(name, format!("callers-own-{name}")))
}

const KINDS: [(&str, &str, &str); 4] = [
    ("{app_code: {env: UP_CODE}}", "x-apig-appcode", "canary-upstream-app-code"),
    ("{api_key: {env: UP_KEY}}", "authorization", "Bearer canary-upstream-api-key"),
    ("{header: {name: X-Model-Key, value: {env: UP_HEADER}}}", "x-model-key", "canary-upstream-header"),
    ("{ak_sk: {access_key: {env: UP_AK}, secret_key: {env: UP_SK}, project_id: p1}}", "x-project-id", "p1"),
];

#[test]
fn each_kind_arrives_and_nothing_of_the_callers_does() {
    for (credential, name, value) in KINDS {
        let (mock, gateway) = start_showing(credential);
        for request in [
            bearer(with_credentials(Request::get("/keyed/x")), CHAT_API_KEY),
            bearer(with_credentials(Request::post("/open/x", "{}")), "callers-own-key"),
            bearer(Request::get("/keyed/x"), CHAT_API_KEY)
                .header("connection", format!("{name}, authorization")),
        ] {
            assert_eq!(request.send(gateway.http).status, 200, "{credential}");
            let seen = &mock.last(1)[0];
            assert_eq!(seen.values(name), [value], "{credential}");
            assert!(seen.values("authorization").len() <= 1, "{credential}: {seen:?}");
            let all = format!("{seen:?}");
            assert!(!all.contains("callers-own") && !all.contains(CHAT_API_KEY), "{credential}: {all}");
        }
    }
}

#[test]
fn a_caller_cannot_write_what_the_gateway_writes() {
    for (credential, name, value) in KINDS {
        let (mock, gateway) = start_showing(credential);
        let spellings =
            [name.to_owned(), name.replace('-', "_"), name.replace('-', "."), name.to_uppercase()];
        let request = spellings
            .iter()
            .fold(Request::get("/open/x"), |request, spelling| request.header(spelling, "callers-own"));
        assert_eq!(request.send(gateway.http).status, 200, "{credential}");
        let seen = &mock.last(1)[0];
        assert_eq!(seen.values(name), [value], "{credential}");
        assert!(!format!("{seen:?}").contains("callers-own"), "{credential}: {seen:?}");
    }
}

#[test]
fn callers_credentials_pass_by_rule_only() {
    let shown = |credential: &str, request: Request| {
        let (mock, gateway) = start_showing(credential);
        assert_eq!(request.send(gateway.http).status, 200, "{credential}");
        let seen = mock.last(1).remove(0);
        (seen.values("authorization").join(","), seen.values("x-auth-token").join(","))
    };
    let keyed = || bearer(Request::get("/keyed/x"), CHAT_API_KEY).header("x-auth-token", "of-the-caller");
    let open = || bearer(Request::get("/open/x"), "any").header("x-auth-token", "of-the-caller");
    let none = (String::new(), String::new());
    assert_eq!(shown("none", keyed()), none, "a checked credential has done its work");
    assert_eq!(shown("{pass: true}", keyed()), (format!("Bearer {CHAT_API_KEY}"), "of-the-caller".into()));
    let passed = ("Bearer any".to_owned(), "of-the-caller".to_owned());
    assert_eq!(shown("none", open()), passed, "nobody has looked at it");
    assert_eq!(shown("{app_code: {env: UP_CODE}}", open()), none, "there is one of the gateway's own");
}

#[test]
fn a_route_may_have_a_credential_of_its_own() {
    let mock = Mock::start();
    let own = policy("{app_code: {env: UP_CODE}}")
        .replace("name: open,", "name: open, credential: {api_key: {env: UP_KEY}},");
    let gateway = set_up(Setup::new(&mock)).policy(&own).start();
    bearer(Request::get("/keyed/x"), CHAT_API_KEY).send(gateway.http);
    Request::get("/open/x").send(gateway.http);
    let seen = mock.last(2);
    assert_eq!(seen[0].values("x-apig-appcode"), ["canary-upstream-app-code"]);
    assert_eq!(seen[1].values("authorization"), ["Bearer canary-upstream-api-key"]);
    assert!(seen[1].values("x-apig-appcode").is_empty(), "{seen:?}");
}

#[test]
fn a_routes_own_credential_is_for_its_own_pool() {
    let mock = Mock::start();
    let other = "  - {name: other, backends: [{url: \"http://127.0.0.1:9100\"}]}\nplans:";
    let text = policy("{app_code: {env: UP_CODE}}")
        .replace("name: open,", "name: open, credential: {api_key: {env: UP_KEY}},")
        .replace("auth: none,", "auth: none, retry: {on: [503], fallback: {pool: other}},")
        .replace("plans:", other);
    let gateway = set_up(Setup::new(&mock)).policy(&text).start();
    Request::get("/open/x").header("x-mock-fault", "status:503").send(gateway.http);
    let seen = mock.last(2);
    assert_eq!(seen[0].values("authorization"), ["Bearer canary-upstream-api-key"]);
    assert!(seen[1].values("authorization").is_empty(), "the fallback is shown nothing: {seen:?}");
}

#[test]
fn a_modelarts_service_is_told_the_tenant_and_nobody_else_can_tell_it() {
    let modelarts = policy("none").replace("api: plain, auth: [api_key]", "api: modelarts, auth: [api_key]");
    let (mock, gateway) = start_with(&modelarts);
    let spoofed = bearer(Request::post("/keyed/x", "{}"), CHAT_API_KEY)
        .header("X-ModelArts-User-ID", "evil")
        .header("x_modelarts_user_id", "evil");
    assert_eq!(spoofed.send(gateway.http).status, 200);
    let seen = &mock.last(1)[0];
    assert_eq!(seen.values("x-modelarts-user-id"), ["acme"]);
    assert!(!format!("{seen:?}").contains("evil"), "{seen:?}");

    let of_choice = modelarts.replace("name: keyed,", "name: keyed, tenant_header: x-account,");
    let (mock, gateway) = start_with(&of_choice);
    spoofed.send(gateway.http);
    let seen = &mock.last(1)[0];
    assert_eq!(seen.values("x-account"), ["acme"]);
    assert!(
        seen.values("x-modelarts-user-id").is_empty() && !format!("{seen:?}").contains("evil"),
        "{seen:?}"
    );
}

#[test]
fn what_backends_are_shown_reaches_no_log_no_metric_and_no_answer() {
    let temporary =
        "{ak_sk: {access_key: {env: UP_AK}, secret_key: {env: UP_SK}, security_token: {env: UP_TOKEN}}}";
    for credential in KINDS.map(|(credential, ..)| credential).into_iter().chain([temporary]) {
        let (mock, gateway) = start_showing(credential);
        let mut answers = String::new();
        for request in [
            bearer(Request::get("/keyed/x"), CHAT_API_KEY),
            bearer(Request::get("/keyed/x"), CHAT_API_KEY).header("x-mock-fault", "reset-head"),
            Request::get("/open/x").header("x-mock-fault", "status:503"),
        ] {
            let answer = request.send(gateway.http);
            answers += &format!("{:?}\n{}\n", answer.headers, answer.text());
        }
        drop(mock);
        answers += &Request::get("/open/x").send(gateway.http).text();
        gateway.write_policy(&policy(&credential.replace("env: UP_", "env: NO_SUCH_")));
        let refused = || gateway.admin("/policy").text().contains("NO_SUCH_").then_some(());
        eventually("the policy is refused", secs(3), refused);
        let admin: String =
            ["/metrics", "/policy", "/limits", "/readyz"].map(|path| gateway.admin(path).text()).concat();
        for (place, text) in
            [("an answer", answers), ("a log", gateway.logs()), ("the admin listener", admin)]
        {
            let found = text.lines().find(|line| line.contains("canary"));
            assert_eq!(found, None, "a secret in {place}, {credential}");
        }
    }
}

#[test]
fn a_secret_file_is_read_again_and_its_loss_changes_nothing() {
    let mock = Mock::start();
    let setup = Setup::new(&mock).policy(&policy("{api_key: {file: up.key}}"));
    write_whole(&setup.policies(), "up.key", "first\n");
    let gateway = setup.start();
    let shown = || {
        assert_eq!(Request::get("/open/x").send(gateway.http).status, 200);
        mock.last(1)[0].values("authorization").join(",")
    };
    assert_eq!(shown(), "Bearer first");
    write_whole(&gateway.policies(), "up.key", "second\n");
    eventually("the new key is shown", secs(3), || (shown() == "Bearer second").then_some(()));
    std::fs::remove_file(gateway.policies().join("up.key")).expect("it is there");
    eventually("its loss is reported", secs(3), || {
        gateway.admin("/policy").text().contains("up.key").then_some(())
    });
    assert_eq!(shown(), "Bearer second", "the last good policy serves");
    write_whole(&gateway.policies(), "up.key", "third\n");
    eventually("the file is back", secs(3), || (shown() == "Bearer third").then_some(()));
}

/// AppCodes of callers and those of the gateway have one header: none may be taken for the other.
#[test]
fn a_callers_app_code_is_checked_and_the_gateways_is_shown() {
    let text = policy("{app_code: {env: UP_CODE}}")
        .replace("auth: [api_key]", "auth: [app_code]")
        .replace("api_key: {env: CHAT_API_KEY}", "app_code: {env: BATCH_APP_CODE}");
    let mock = Mock::start();
    let gateway = set_up(Setup::new(&mock)).policy(&text).start();
    let ask = |code: &str| Request::get("/keyed/x").header("x-apig-appcode", code).send(gateway.http).status;
    assert_eq!(ask("canary-upstream-app-code"), 401);
    assert_eq!(ask(BATCH_APP_CODE), 200);
    assert_eq!(mock.last(1)[0].values("x-apig-appcode"), ["canary-upstream-app-code"]);
}
