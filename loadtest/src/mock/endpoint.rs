//! Endpoints: which of the imitated APIs does a path name?
//!
//! Asked once per request. Paths are compared as they arrive, without decoding: a gateway that rewrites a
//! path must not be forgiven for it here.

use super::grpc::Rpc;
use http::Method;

/// What a request asks for; parts of its path are borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint<'p> {
    /// `GET /health`.
    Health,
    /// An OpenAI-style operation: MaaS, Pangu V2, or a service that speaks it.
    OpenAi(OpenAi),
    /// Pangu V1 below a deployment, and the text completions that V2 has kept.
    Pangu(Pangu),
    /// Any other call of a ModelArts real-time service.
    Predict {
        /// Id of the service.
        service: &'p str,
        /// What follows the id; empty or starting with `/`.
        path: &'p str,
    },
    /// The ModelArts v2 service API, below `/v2/{project_id}/services`.
    Services(Services<'p>),
    /// Helpers of the mock itself, below `/mock/`.
    Raw(Raw<'p>),
    /// A known path with another method.
    WrongMethod,
    /// Nothing this mock imitates.
    Unknown,
}

/// OpenAI-style operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenAi {
    /// Chat; the model may be left out below a Pangu deployment, whose path names it.
    Chat {
        /// Whether a body without `model` is refused.
        model_required: bool,
    },
    /// Embeddings.
    Embeddings,
    /// The list of models.
    Models,
    /// Ranking of documents.
    Rerank,
}

/// Pangu V1 operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pangu {
    /// `.../chat/completions`.
    Chat,
    /// `.../text/completions`.
    Text,
}

/// Operations on ModelArts services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Services<'p> {
    /// The list.
    List,
    /// One service.
    Show {
        /// Project id of the path.
        project: &'p str,
        /// Service id of the path.
        service: &'p str,
    },
    /// A new API key.
    CreateKey,
    /// A new API key that expires.
    CreateTemporaryKey,
    /// The list of API keys.
    ListKeys {
        /// Project id of the path.
        project: &'p str,
    },
}

/// Helpers for tests of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw<'p> {
    /// So many bytes.
    Bytes(u64),
    /// The body of the request, as it arrives.
    Echo,
    /// Every message of a WebSocket.
    WebSocket,
    /// A call of gRPC.
    Grpc(Rpc),
    /// Events; the query says how many and how fast.
    Sse {
        /// Query of the request.
        query: &'p str,
    },
    /// An empty answer with a status.
    Status(u16),
}

/// The endpoints as counters name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `GET /health`; counted apart.
    Health,
    /// OpenAI-style chat.
    OpenAiChat,
    /// Embeddings.
    OpenAiEmbeddings,
    /// List of models.
    OpenAiModels,
    /// Rerank.
    OpenAiRerank,
    /// Pangu V1 chat.
    PanguChat,
    /// Pangu V1 text.
    PanguText,
    /// Other calls of a real-time service.
    ModelArtsPredict,
    /// Service API.
    ModelArtsServices,
    /// `/mock/...`.
    Raw,
    /// 404 and 405.
    Unknown,
}

/// How an endpoint words its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// MaaS: `error{...}` and the APIG fields.
    OpenAi,
    /// Pangu: `PANGU.xxxx`.
    Pangu,
    /// ModelArts dispatcher: `ModelArts.xxxx`.
    ModelArts,
    /// APIG, for everything else.
    Apig,
}

impl Kind {
    /// All kinds, in the order of their discriminants.
    pub const ALL: [Kind; 11] = [
        Kind::Health,
        Kind::OpenAiChat,
        Kind::OpenAiEmbeddings,
        Kind::OpenAiModels,
        Kind::OpenAiRerank,
        Kind::PanguChat,
        Kind::PanguText,
        Kind::ModelArtsPredict,
        Kind::ModelArtsServices,
        Kind::Raw,
        Kind::Unknown,
    ];
    /// How many there are.
    pub const COUNT: usize = Kind::ALL.len();

    /// Name in `by_endpoint`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Health => "health",
            Kind::OpenAiChat => "openai_chat",
            Kind::OpenAiEmbeddings => "openai_embeddings",
            Kind::OpenAiModels => "openai_models",
            Kind::OpenAiRerank => "openai_rerank",
            Kind::PanguChat => "pangu_chat",
            Kind::PanguText => "pangu_text",
            Kind::ModelArtsPredict => "modelarts_predict",
            Kind::ModelArtsServices => "modelarts_services",
            Kind::Raw => "raw",
            Kind::Unknown => "unknown",
        }
    }
}

impl<'p> Endpoint<'p> {
    /// Finds the endpoint of a request.
    pub fn find(method: &Method, path: &'p str, query: &'p str) -> Endpoint<'p> {
        let found = match path {
            "/health" => Some((Method::GET, Endpoint::Health)),
            _ => match path.strip_prefix("/v1/infers/") {
                Some(rest) => return Endpoint::find_infer(method, rest),
                None => {
                    find_model(path).or_else(|| find_services(path, method)).or_else(|| find_raw(path, query))
                }
            },
        };
        match found {
            None => Endpoint::Unknown,
            Some((wanted, endpoint))
                if wanted == *method || wanted == Method::GET && method == Method::HEAD =>
            {
                endpoint
            }
            Some((_, Endpoint::Raw(Raw::Status(code)))) => Endpoint::Raw(Raw::Status(code)),
            Some(_) => Endpoint::WrongMethod,
        }
    }

    /// Below `/v1/infers/`: a model API if the rest is one's path and method, else the service's own affair.
    fn find_infer(method: &Method, rest: &'p str) -> Endpoint<'p> {
        let (service, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        match find_model(path) {
            Some((wanted, endpoint)) if wanted == *method => endpoint,
            _ if service.is_empty() => Endpoint::Unknown,
            _ => Endpoint::Predict { service, path },
        }
    }

    /// The counter of this endpoint.
    pub fn kind(self) -> Kind {
        match self {
            Endpoint::Health => Kind::Health,
            Endpoint::OpenAi(OpenAi::Chat { .. }) => Kind::OpenAiChat,
            Endpoint::OpenAi(OpenAi::Embeddings) => Kind::OpenAiEmbeddings,
            Endpoint::OpenAi(OpenAi::Models) => Kind::OpenAiModels,
            Endpoint::OpenAi(OpenAi::Rerank) => Kind::OpenAiRerank,
            Endpoint::Pangu(Pangu::Chat) => Kind::PanguChat,
            Endpoint::Pangu(Pangu::Text) => Kind::PanguText,
            Endpoint::Predict { .. } => Kind::ModelArtsPredict,
            Endpoint::Services(_) => Kind::ModelArtsServices,
            Endpoint::Raw(_) => Kind::Raw,
            Endpoint::WrongMethod | Endpoint::Unknown => Kind::Unknown,
        }
    }

    /// How this endpoint words its errors.
    pub fn dialect(self) -> Dialect {
        match self {
            Endpoint::OpenAi(_) => Dialect::OpenAi,
            Endpoint::Pangu(_) => Dialect::Pangu,
            Endpoint::Predict { .. } | Endpoint::Services(_) => Dialect::ModelArts,
            Endpoint::Health | Endpoint::Raw(_) | Endpoint::WrongMethod | Endpoint::Unknown => Dialect::Apig,
        }
    }
}

type Found<'p> = Option<(Method, Endpoint<'p>)>;

fn find_model<'p>(path: &str) -> Found<'p> {
    let operation = path.strip_prefix("/v1").or_else(|| path.strip_prefix("/api/v2"));
    match operation {
        Some("/chat/completions") => {
            return Some((Method::POST, Endpoint::OpenAi(OpenAi::Chat { model_required: true })));
        }
        Some("/embeddings") => return Some((Method::POST, Endpoint::OpenAi(OpenAi::Embeddings))),
        Some("/rerank") => return Some((Method::POST, Endpoint::OpenAi(OpenAi::Rerank))),
        Some("/models") => return Some((Method::GET, Endpoint::OpenAi(OpenAi::Models))),
        _ => {}
    }
    let (mut parts, count) = segments(path);
    let endpoint = match (parts.next()?, count) {
        ("v1", 6) => match (parts.nth(1)?, parts.nth(1)?, parts.next()?) {
            ("deployments", "chat", "completions") => Endpoint::Pangu(Pangu::Chat),
            ("deployments", "text", "completions") => Endpoint::Pangu(Pangu::Text),
            _ => return None,
        },
        ("v2", 8) => match (parts.nth(1)?, parts.nth(1)?, parts.nth(1)?, parts.next()?) {
            ("pools", "deployments", "chat", "completions") => {
                Endpoint::OpenAi(OpenAi::Chat { model_required: false })
            }
            ("pools", "deployments", "text", "completions") => Endpoint::Pangu(Pangu::Text),
            _ => return None,
        },
        _ => return None,
    };
    Some((Method::POST, endpoint))
}

fn find_services<'p>(path: &'p str, method: &Method) -> Found<'p> {
    let (mut parts, _) = segments(path);
    let ("v2", project, "services") = (parts.next()?, parts.next()?, parts.next()?) else { return None };
    let found = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => (Method::GET, Services::List),
        (Some("api-keys"), None, _) if method == Method::POST => (Method::POST, Services::CreateKey),
        (Some("api-keys"), None, _) => (Method::GET, Services::ListKeys { project }),
        (Some("api-keys"), Some("temp"), None) => (Method::POST, Services::CreateTemporaryKey),
        (Some(service), None, _) => (Method::GET, Services::Show { project, service }),
        _ => return None,
    };
    Some((found.0, Endpoint::Services(found.1)))
}

fn find_raw<'p>(path: &str, query: &'p str) -> Found<'p> {
    if let Some(rpc) = Rpc::find(path) {
        return Some((Method::POST, Endpoint::Raw(Raw::Grpc(rpc))));
    }
    let rest = path.strip_prefix("/mock/")?;
    let (name, argument) = rest.split_once('/').unwrap_or((rest, ""));
    let found = match (name, argument) {
        ("echo", "") => (Method::POST, Raw::Echo),
        ("websocket", "") => (Method::GET, Raw::WebSocket),
        ("sse", "") => (Method::GET, Raw::Sse { query }),
        ("bytes", count) => (Method::GET, Raw::Bytes(count.parse().ok()?)),
        ("status", code) => {
            (Method::GET, Raw::Status(code.parse().ok().filter(|code| (200..600).contains(code))?))
        }
        _ => return None,
    };
    Some((found.0, Endpoint::Raw(found.1)))
}

/// The segments of a path that starts with `/`, and how many there are.
fn segments(path: &str) -> (std::str::Split<'_, char>, usize) {
    let path = path.strip_prefix('/').unwrap_or("");
    (path.split('/'), memchr::memchr_iter(b'/', path.as_bytes()).count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: Endpoint<'_> = Endpoint::OpenAi(OpenAi::Chat { model_required: true });
    const DEPLOYED: Endpoint<'_> = Endpoint::OpenAi(OpenAi::Chat { model_required: false });

    fn find<'p>(request: &'p str) -> Endpoint<'p> {
        let (method, path) = request.split_once(' ').unwrap();
        Endpoint::find(&method.parse().unwrap(), path, "")
    }

    #[test]
    fn every_imitated_path_is_found() {
        let cases = [
            ("GET /health", Endpoint::Health),
            ("HEAD /health", Endpoint::Health),
            ("POST /v1/chat/completions", CHAT),
            ("POST /api/v2/chat/completions", CHAT),
            ("POST /v1/infers/s1/v1/chat/completions", CHAT),
            ("POST /v2/p/pools/pool/deployments/d/chat/completions", DEPLOYED),
            ("POST /v2/p/pools/pool/deployments/d/text/completions", Endpoint::Pangu(Pangu::Text)),
            ("POST /v1/embeddings", Endpoint::OpenAi(OpenAi::Embeddings)),
            ("POST /v1/rerank", Endpoint::OpenAi(OpenAi::Rerank)),
            ("GET /v1/models", Endpoint::OpenAi(OpenAi::Models)),
            ("POST /v1/p/deployments/d/chat/completions", Endpoint::Pangu(Pangu::Chat)),
            ("POST /v1/p/deployments/a%2Fb/text/completions", Endpoint::Pangu(Pangu::Text)),
            ("POST /v1/infers/s1/v1/p/deployments/d/chat/completions", Endpoint::Pangu(Pangu::Chat)),
            ("POST /v1/infers/s1", Endpoint::Predict { service: "s1", path: "" }),
            ("PUT /v1/infers/s1/predict/x", Endpoint::Predict { service: "s1", path: "/predict/x" }),
            (
                "GET /v1/infers/s1/v1/chat/completions",
                Endpoint::Predict { service: "s1", path: "/v1/chat/completions" },
            ),
            ("GET /v2/p/services", Endpoint::Services(Services::List)),
            ("GET /v2/p/services/s", Endpoint::Services(Services::Show { project: "p", service: "s" })),
            ("GET /v2/p/services/api-keys", Endpoint::Services(Services::ListKeys { project: "p" })),
            ("POST /v2/p/services/api-keys", Endpoint::Services(Services::CreateKey)),
            ("POST /v2/p/services/api-keys/temp", Endpoint::Services(Services::CreateTemporaryKey)),
            ("GET /mock/bytes/17", Endpoint::Raw(Raw::Bytes(17))),
            ("POST /mock/echo", Endpoint::Raw(Raw::Echo)),
            ("GET /mock/sse", Endpoint::Raw(Raw::Sse { query: "" })),
            ("GET /mock/status/418", Endpoint::Raw(Raw::Status(418))),
            ("DELETE /mock/status/204", Endpoint::Raw(Raw::Status(204))),
        ];
        for (request, expected) in cases {
            assert_eq!(find(request), expected, "{request}");
        }
    }

    #[test]
    fn other_spellings_are_not() {
        for request in [
            "POST /v1/chat/completions/",
            "POST //v1/chat/completions",
            "POST /v1/p/deployments/d/chat/completions/x",
            "POST /v1/p/deployment/d/chat/completions",
            "POST /v1/infers//x",
            "GET /mock/bytes/-1",
            "GET /mock/status/99",
            "GET /",
            "OPTIONS *",
        ] {
            assert_eq!(find(request), Endpoint::Unknown, "{request}");
        }
        assert_eq!(find("GET /v1/chat/completions"), Endpoint::WrongMethod);
        assert_eq!(find("DELETE /v2/p/services"), Endpoint::WrongMethod);
    }

    #[test]
    fn kinds_index_their_own_counters() {
        for (index, kind) in Kind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index, "{}", kind.name());
        }
    }
}
