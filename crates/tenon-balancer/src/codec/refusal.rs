//! Why a request is refused before a server sees it.

/// What is wrong with a request, as its sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not HTTP as we accept it.
    Malformed(&'static str),
    /// The request line is longer than the setting allows.
    TargetTooLong,
    /// The head is longer, or has more fields, than the settings allow.
    HeadTooLarge,
    /// The body is larger than the setting allows.
    BodyTooLarge,
    /// An expectation other than `100-continue`.
    Expectation,
    /// A version of HTTP that is not spoken here.
    Version,
    /// A method that can't be one.
    UnknownMethod,
    /// The head or the body came too slowly.
    TooSlow,
}

impl Refusal {
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::TooSlow => 408,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge => 431,
            Self::UnknownMethod => 501,
            Self::Version => 505,
        }
    }

    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Malformed(_) => "bad-request",
            Self::TooSlow => "request-timeout",
            Self::BodyTooLarge => "body-too-large",
            Self::TargetTooLong => "target-too-long",
            Self::Expectation => "expectation-failed",
            Self::HeadTooLarge => "head-too-large",
            Self::UnknownMethod => "unknown-method",
            Self::Version => "version-not-supported",
        }
    }

    pub(crate) const fn detail(self) -> &'static str {
        match self {
            Self::Malformed(detail) => detail,
            Self::TooSlow => "the request came too slowly",
            Self::BodyTooLarge => "the body is larger than the load balancer accepts",
            Self::TargetTooLong => "the request line is longer than the load balancer accepts",
            Self::Expectation => "the only expectation known here is 100-continue",
            Self::HeadTooLarge => "the header fields are more, or larger, than the load balancer accepts",
            Self::UnknownMethod => "this method is not known here",
            Self::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
        }
    }
}
