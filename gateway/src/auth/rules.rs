//! What a route demands of a credential.

use std::fmt;
use std::time::Duration;

/// What one route demands of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Any of these is enough.
    pub kinds: Kinds,
    /// |X-Sdk-Date - now| at most. Default: 15 min, as Huawei's own gateway.
    pub skew: Duration,
    /// May a signature leave the body out (`UNSIGNED-PAYLOAD`)? Default: no.
    pub unsigned_payload: bool,
    /// Accept the npm SDK's doubly encoded path too? Default: no.
    pub double_encoded_path: bool,
    /// Refuse a signature seen before? Default: yes.
    pub refuse_replay: bool,
}

impl Default for Rules {
    /// Every kind, and the strict choice everywhere else.
    fn default() -> Rules {
        Rules {
            kinds: Kind::ALL.into_iter().collect(),
            skew: Duration::from_secs(15 * 60),
            unsigned_payload: false,
            double_encoded_path: false,
            refuse_replay: true,
        }
    }
}

/// One kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// AK/SK (or AppKey/AppSecret) signature: SDK-HMAC-SHA256, V11-HMAC-SHA256, SDK-HMAC-SM3.
    AkSk,
    /// `X-Apig-AppCode`.
    AppCode,
    /// `Authorization: Bearer`.
    ApiKey,
    /// `X-Auth-Token`, issued by IAM.
    IamToken,
}

impl Kind {
    /// All kinds, in their order of precedence when a request carries several.
    pub const ALL: [Kind; 4] = [Kind::AkSk, Kind::AppCode, Kind::IamToken, Kind::ApiKey];

    /// The word for it in policy files and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::AkSk => "ak_sk",
            Kind::AppCode => "app_code",
            Kind::ApiKey => "api_key",
            Kind::IamToken => "iam_token",
        }
    }

    /// How a caller sends it.
    fn how(self) -> &'static str {
        match self {
            Kind::AkSk => "an AK/SK signature in Authorization",
            Kind::AppCode => "an AppCode in X-Apig-AppCode",
            Kind::ApiKey => "an API key in Authorization: Bearer",
            Kind::IamToken => "an IAM token in X-Auth-Token",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The kinds of credential a route accepts (a small bit set).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u8);

impl Kinds {
    /// These kinds and `kind`.
    #[must_use]
    pub fn with(self, kind: Kind) -> Kinds {
        Kinds(self.0 | kind.bit())
    }

    /// Is `kind` among them?
    pub fn contains(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// Is there none?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In order of precedence.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl From<Kind> for Kinds {
    fn from(kind: Kind) -> Kinds {
        Kinds::default().with(kind)
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Kinds {
        kinds.into_iter().fold(Kinds::default(), Kinds::with)
    }
}

/// Tells a caller how to send what is accepted: `an AppCode in X-Apig-AppCode, or an API key in ...`.
impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        for (i, kind) in self.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { ", or " })?;
            f.write_str(kind.how())?;
        }
        Ok(())
    }
}
