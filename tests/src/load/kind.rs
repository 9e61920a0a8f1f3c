//! What a request looks like, and over what it goes.

/// Over what a request goes to the load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Via {
    /// HTTP/1.1 without TLS.
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// HTTP/2 over TLS.
    H2,
}

/// What a client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// GET on a connection that is kept.
    Get,
    /// GET on a connection of its own.
    GetNew,
    /// GET of a service that takes 100 ms.
    GetThink,
    /// POST of 60 bytes on a connection that is kept.
    Post,
    /// POST of 60 bytes on a connection of its own.
    PostNew,
    /// POST of 60 bytes to a service that takes 100 ms after it has done its work.
    PostThink,
    /// POST of 100 KB with its length.
    PostLarge,
    /// POST of 20 KB in chunks.
    PostChunked,
    /// GET whose head comes in pieces.
    SlowHead,
    /// POST whose body comes in pieces.
    SlowBody,
    /// GET whose client reads its 100 KB slowly.
    SlowReader,
}

/// How the body of a request is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    Length(usize),
    Chunked(usize),
}

/// What a client takes its time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    AtOnce,
    Head,
    Body,
    Reading,
}

/// Everything about the requests of a kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) body: Body,
    /// How long the service takes, in milliseconds.
    pub(super) think: u32,
    /// Bytes that fill the answer up.
    pub(super) fill: usize,
    pub(super) keeps: bool,
    pub(super) pace: Pace,
}

const SMALL: Body = Body::Length(60);

impl Kind {
    /// All kinds that a rate is spread over, with their shares in percent.
    pub(super) const SHARES: [(Self, u32); 8] = [
        (Self::Get, 35),
        (Self::GetNew, 10),
        (Self::GetThink, 10),
        (Self::Post, 20),
        (Self::PostNew, 5),
        (Self::PostThink, 10),
        (Self::PostLarge, 5),
        (Self::PostChunked, 5),
    ];

    /// Whether it changes something, so that it must not happen twice.
    pub const fn is_recorded(self) -> bool {
        !matches!(
            self,
            Self::Get | Self::GetNew | Self::GetThink | Self::SlowHead | Self::SlowReader
        )
    }

    /// Whether its duration says something about the cluster rather than about the client or the service.
    pub const fn is_timed(self) -> bool {
        let shape = self.shape();
        shape.think == 0 && matches!(shape.pace, Pace::AtOnce)
    }

    pub(super) const fn method(self) -> &'static str {
        if self.is_recorded() { "POST" } else { "GET" }
    }

    pub(super) const fn shape(self) -> Shape {
        let plain = Shape {
            body: if self.is_recorded() { SMALL } else { Body::None },
            think: 0,
            fill: 0,
            keeps: true,
            pace: Pace::AtOnce,
        };
        match self {
            Self::Get | Self::Post => plain,
            Self::GetNew | Self::PostNew => Shape { keeps: false, ..plain },
            Self::GetThink | Self::PostThink => Shape { think: 100, ..plain },
            Self::PostLarge => Shape {
                body: Body::Length(100_000),
                ..plain
            },
            Self::PostChunked => Shape {
                body: Body::Chunked(20_000),
                ..plain
            },
            Self::SlowHead => Shape {
                pace: Pace::Head,
                ..plain
            },
            Self::SlowBody => Shape {
                body: Body::Length(20_000),
                pace: Pace::Body,
                ..plain
            },
            Self::SlowReader => Shape {
                fill: 100_000,
                pace: Pace::Reading,
                ..plain
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        assert_eq!(Kind::SHARES.iter().map(|(_, share)| share).sum::<u32>(), 100);
    }

    #[test]
    fn what_is_recorded_has_a_body_and_is_a_post() {
        for (kind, _) in Kind::SHARES {
            assert_eq!(kind.is_recorded(), kind.shape().body != Body::None, "{kind:?}");
            assert_eq!(kind.is_recorded(), kind.method() == "POST", "{kind:?}");
        }
    }
}
