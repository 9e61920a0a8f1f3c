//! Patterns of paths as REST channels write them, and prefixes. Paths are read as servers read them: split at slashes, the
//! percent-encoding of each segment undone, so that no other spelling of a path gets around a rule.

use std::borrow::Cow;

/// A pattern: `/customers/{id}`, `/files/{path*}`, or `/admin/*` for all that begins so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathPattern {
    segments: Vec<Segment>,
    tail: Tail,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    /// Texts with something, not nothing, between them.
    Parts(Vec<Box<str>>),
}

/// What may stand behind the segments.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tail {
    Nothing,
    /// One segment or more.
    Rest,
    /// A segment that begins so, and anything behind it.
    Prefix(Box<str>),
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no path pattern: it begins with a slash, parameters are in braces, '*' and '{{name*}}' come last")]
pub(crate) struct InvalidPattern(pub(crate) String);

impl PathPattern {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let wrong = || InvalidPattern(text.to_owned());
        let path = text.strip_prefix('/').ok_or_else(wrong)?;
        let mut segments: Vec<&str> = path.split('/').collect();
        let mut tail = Tail::Nothing;
        let last = segments.last().copied().unwrap_or_default();
        if let Some(prefix) = last.strip_suffix('*') {
            segments.pop();
            if prefix.contains(['{', '}', '*']) {
                return Err(wrong());
            }
            tail = Tail::Prefix(prefix.into());
        } else if last.starts_with('{') && last.ends_with("*}") && last.matches(['{', '}', '*']).count() == 3 {
            segments.pop();
            tail = Tail::Rest;
        }
        let segments = segments
            .into_iter()
            .map(|segment| Segment::parse(segment).ok_or_else(wrong));
        Ok(Self {
            segments: segments.collect::<Result<_, _>>()?,
            tail,
        })
    }

    /// The first segment if only one text fits it.
    pub(crate) fn first_segment(&self) -> Option<&str> {
        match self.segments.first() {
            Some(Segment::Literal(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether a path, without its query, fits.
    pub(crate) fn fits(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else {
            return false;
        };
        let mut given = path.split('/');
        for segment in &self.segments {
            if !given.next().is_some_and(|text| segment.fits(&decode(text))) {
                return false;
            }
        }
        let next = given.next();
        match &self.tail {
            Tail::Nothing => next.is_none(),
            Tail::Rest => next.is_some(),
            Tail::Prefix(prefix) => next.is_some_and(|text| decode(text).starts_with(&**prefix)),
        }
    }
}

impl Segment {
    fn parse(text: &str) -> Option<Self> {
        if !text.contains(['{', '}', '*']) {
            return Some(Self::Literal(text.into()));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, behind)) = rest.split_once('{') {
            // Two parameters with nothing between them could be told apart in many ways.
            if literal.contains(['}', '*']) || (literal.is_empty() && !parts.is_empty()) {
                return None;
            }
            let (name, behind) = behind.split_once('}')?;
            if name.is_empty() || name.contains(['{', '*']) {
                return None;
            }
            parts.push(Box::from(literal));
            rest = behind;
        }
        if rest.contains(['}', '*']) {
            return None;
        }
        parts.push(rest.into());
        Some(Self::Parts(parts))
    }

    fn fits(&self, text: &str) -> bool {
        let parts = match self {
            Self::Literal(literal) => return **literal == *text,
            Self::Parts(parts) => parts,
        };
        let [prefix, between @ .., suffix] = parts.as_slice() else {
            return false;
        };
        let inner = text
            .strip_prefix(&**prefix)
            .and_then(|text| text.strip_suffix(&**suffix));
        let Some(mut inner) = inner else {
            return false;
        };
        for literal in between {
            let first = inner.chars().next().map_or(0, char::len_utf8);
            let Some(at) = inner
                .get(first..)
                .filter(|_| first > 0)
                .and_then(|rest| rest.find(&**literal))
            else {
                return false;
            };
            inner = &inner[first + at + literal.len()..];
        }
        !inner.is_empty()
    }
}

/// A segment without its percent-encoding; as it is, if that is broken (no server takes it then).
pub(crate) fn decode(segment: &str) -> Cow<'_, str> {
    if !segment.contains('%') {
        return Cow::Borrowed(segment);
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Cow::Borrowed(segment);
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(segment), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_what_servers_would_take_for_it() {
        for (pattern, fitting, others) in [
            ("/", vec!["/"], vec!["", "/a", "*"]),
            (
                "/a/b",
                vec!["/a/b", "/%61/b", "/a/%62"],
                vec!["/a", "/a/b/", "/a%2Fb", "/A/b", "//a/b"],
            ),
            ("/a/{id}", vec!["/a/1", "/a/%2F"], vec!["/a/", "/a", "/a/1/2"]),
            (
                "/r/{y}-{m}.pdf",
                vec!["/r/1-2.pdf", "/r/a--.pdf", "/r/é-é.pdf"],
                vec!["/r/-2.pdf", "/r/1-.pdf", "/r/1.pdf"],
            ),
            ("/f/{path*}", vec!["/f/a", "/f/", "/f/a/b/c"], vec!["/f", "/g/a"]),
            (
                "/admin/*",
                vec!["/admin/", "/admin/x/y", "/%61dmin/x"],
                vec!["/admin", "/administrator"],
            ),
            (
                "/admin*",
                vec!["/admin", "/administrator", "/admin/x"],
                vec!["/adm", "/x/admin"],
            ),
            ("/*", vec!["/", "/a/b", "/%zz"], vec!["*", ""]),
            ("/.env", vec!["/.env", "/%2eenv"], vec!["/.env/", "/x/.env"]),
            ("/a/{x}/*", vec!["/a/b/", "/a/b/c"], vec!["/a/b", "/a//c"]),
        ] {
            let parsed = PathPattern::parse(pattern).unwrap();
            for path in fitting {
                assert!(parsed.fits(path), "{pattern} and {path}");
            }
            for path in others {
                assert!(!parsed.fits(path), "{pattern} and {path}");
            }
        }
        for wrong in [
            "", "a", "*", "/{}", "/{a}{b}", "/a}", "/{a", "/*/a", "/{a*}/b", "/{a}*", "/x{a*}", "/a*b",
        ] {
            assert!(PathPattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
