//! Every way a byte stream can fail to be HTTP/1 as the gateway takes it.

/// A violation of framing. The connection ends after its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// More than one empty line before a request.
    EmptyLines,
    /// Not exactly `METHOD SP target SP HTTP/x.y`, or the method is no token.
    RequestLine,
    /// A version other than HTTP/1.0 and HTTP/1.1, the preface of HTTP/2 among them.
    Version,
    /// The target is not a path: `http://…`, `host:port`, `*`, or the method is CONNECT.
    TargetForm,
    /// The target holds a control character, a byte outside ASCII, or one of `#"<>`, which no URI may (RFC 3986).
    TargetByte,
    /// The target is longer than [`FramingCaps::target_max`](super::FramingCaps::target_max).
    TargetTooLong,
    /// The head is longer than [`FramingCaps::head_max`](super::FramingCaps::head_max).
    HeadTooLarge,
    /// More lines than [`FramingCaps::headers_max`](super::FramingCaps::headers_max).
    TooManyHeaders,
    /// LF without CR, or CR without LF.
    BareLineEnd,
    /// A header line that begins with white space (RFC 9112 section 5.2).
    Fold,
    /// White space before the colon (RFC 9112 section 5.1).
    NameSpace,
    /// No colon, an empty name, a name that is no token, or a framing header spelt with `_`.
    HeaderName,
    /// A control character in a value.
    HeaderValue,
    /// HTTP/1.1 without Host.
    HostMissing,
    /// Two Host lines.
    HostRepeated,
    /// A Host that is no host.
    HostInvalid,
    /// Content-Length and Transfer-Encoding in one request.
    LengthAndEncoding,
    /// Two Content-Length lines, even if they agree.
    LengthRepeated,
    /// A Content-Length that is not a decimal number below 2^64.
    LengthInvalid,
    /// Two Transfer-Encoding lines.
    EncodingRepeated,
    /// A Transfer-Encoding other than `chunked`.
    EncodingUnsupported,
    /// Transfer-Encoding in HTTP/1.0.
    EncodingInOldVersion,
    /// A chunk-size line that is not 1 to 16 hexadecimal digits and CRLF.
    ChunkSize,
    /// A chunk longer or shorter than its size.
    ChunkEnd,
    /// A trailer that frames, routes or authenticates.
    TrailerName,
    /// Trailers of more than 8 KiB.
    TrailersTooLarge,
}

impl Framing {
    /// HTTP status of the answer.
    pub fn status(self) -> u16 {
        self.row().0
    }

    /// Value for metrics and logs.
    pub fn code(self) -> &'static str {
        self.row().1
    }

    /// What is wrong, for the caller.
    pub fn reason(self) -> &'static str {
        self.row().2
    }

    #[rustfmt::skip] // one violation a row
    fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Framing::EmptyLines           => (400, "empty_lines",            "more than one empty line before the request"),
            Framing::RequestLine          => (400, "request_line",           "the request line is not `METHOD target HTTP/1.1` with single spaces"),
            Framing::Version              => (505, "version",                "only HTTP/1.1 and HTTP/1.0 are spoken here; HTTP/2 needs TLS with ALPN"),
            Framing::TargetForm           => (400, "target_form",            "the request target must be a path that begins with `/`"),
            Framing::TargetByte           => (400, "target_byte",            "the request target has a character that must be percent-encoded"),
            Framing::TargetTooLong        => (414, "target_too_long",        "the request target is too long"),
            Framing::HeadTooLarge         => (431, "head_too_large",         "the request head is too large"),
            Framing::TooManyHeaders       => (431, "too_many_headers",       "the request has too many header lines"),
            Framing::BareLineEnd          => (400, "bare_line_end",          "lines must end in CR LF; neither may stand alone"),
            Framing::Fold                 => (400, "fold",                   "a header line begins with white space"),
            Framing::NameSpace            => (400, "name_space",             "white space between a header name and its colon"),
            Framing::HeaderName           => (400, "header_name",            "a header line without a proper name and colon"),
            Framing::HeaderValue          => (400, "header_value",           "a control character in a header value"),
            Framing::HostMissing          => (400, "host_missing",           "the Host header is missing"),
            Framing::HostRepeated         => (400, "host_repeated",          "more than one Host header"),
            Framing::HostInvalid          => (400, "host_invalid",           "the Host header is not a host name or address with an optional port"),
            Framing::LengthAndEncoding    => (400, "length_and_encoding",    "both Content-Length and Transfer-Encoding"),
            Framing::LengthRepeated       => (400, "length_repeated",        "more than one Content-Length"),
            Framing::LengthInvalid        => (400, "length_invalid",         "Content-Length is not a decimal number"),
            Framing::EncodingRepeated     => (400, "encoding_repeated",      "more than one Transfer-Encoding"),
            Framing::EncodingUnsupported  => (501, "encoding_unsupported",   "the only Transfer-Encoding taken is `chunked`"),
            Framing::EncodingInOldVersion => (400, "encoding_in_1_0",        "Transfer-Encoding in an HTTP/1.0 request"),
            Framing::ChunkSize            => (400, "chunk_size",             "a chunk size must be 1 to 16 hexadecimal digits and CR LF, without extensions"),
            Framing::ChunkEnd             => (400, "chunk_end",              "a chunk does not end where its size says"),
            Framing::TrailerName          => (400, "trailer_name",           "a trailer that is only allowed in the head"),
            Framing::TrailersTooLarge     => (431, "trailers_too_large",     "the trailers are too large"),
        }
    }
}
