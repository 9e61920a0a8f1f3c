//! Path patterns of HTTP routes, such as `/customers/{id}/orders`. Matching is the server's business.

use std::fmt;
use std::str::FromStr;

/// A path with parameters: `/customers/{id}`. A parameter takes one whole segment; the last one may be `{name*}`, which
/// takes the rest of the path with its slashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    text: String,
    segments: Vec<PathSegment>,
}

/// One segment of a path pattern, between two slashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathSegment {
    /// Is matched as it is. Percent-encoding was undone.
    Literal(String),
    /// Takes one segment that is not empty, as the parameter of this name.
    Param(String),
    /// Takes what is left of the path, at least one character, as the parameter of this name. Only at the end.
    Rest(String),
}

/// Why a text is not a path pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a path: {reason}")]
pub struct InvalidPath {
    text: String,
    reason: String,
}

impl PathPattern {
    const LENGTH_MAX: usize = 2000;

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its segments from left to right. `/` has none; a slash at the end is an empty literal.
    pub fn segments(&self) -> &[PathSegment] {
        &self.segments
    }

    /// The names of its parameters from left to right.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            PathSegment::Literal(_) => None,
            PathSegment::Param(name) | PathSegment::Rest(name) => Some(name.as_str()),
        })
    }
}

impl FromStr for PathPattern {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let segments = parse(text).map_err(|reason| InvalidPath {
            text: text.to_owned(),
            reason,
        })?;
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse(text: &str) -> Result<Vec<PathSegment>, String> {
    let rest = text.strip_prefix('/').ok_or("it must begin with a slash")?;
    if text.len() > PathPattern::LENGTH_MAX {
        return Err(format!("it is longer than {} bytes", PathPattern::LENGTH_MAX));
    }
    if text.contains(['?', '#']) {
        return Err("a path has no '?' and no '#'; the query string is not part of it".to_owned());
    }
    if text.chars().any(|c| c.is_control() || c == ' ') {
        return Err("it contains a space or a control character; write %20 for a space".to_owned());
    }
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<&str> = rest.split('/').collect();
    let mut segments = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        if part.is_empty() && !is_last {
            return Err("it has two slashes in a row".to_owned());
        }
        let segment = parse_segment(part, is_last)?;
        if let PathSegment::Param(name) | PathSegment::Rest(name) = &segment {
            let is_known = segments.iter().any(|known| match known {
                PathSegment::Literal(_) => false,
                PathSegment::Param(other) | PathSegment::Rest(other) => other == name,
            });
            if is_known {
                return Err(format!("the parameter '{name}' is in it twice"));
            }
        }
        segments.push(segment);
    }
    Ok(segments)
}

fn parse_segment(part: &str, is_last: bool) -> Result<PathSegment, String> {
    if !part.contains(['{', '}']) {
        if matches!(part, "." | "..") {
            return Err("a segment can't be '.' or '..'".to_owned());
        }
        return percent_decode(part).map(PathSegment::Literal);
    }
    let name = part
        .strip_prefix('{')
        .and_then(|tail| tail.strip_suffix('}'))
        .filter(|name| !name.contains(['{', '}']))
        .ok_or_else(|| format!("a parameter is a whole segment such as {{id}}, not '{part}'"))?;
    let (name, takes_rest) = name.strip_suffix('*').map_or((name, false), |name| (name, true));
    let is_name = name
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if name.is_empty() || !is_name {
        return Err(format!(
            "'{name}' is not the name of a parameter; use letters, digits, '_', '-' and '.'"
        ));
    }
    match (takes_rest, is_last) {
        (false, _) => Ok(PathSegment::Param(name.to_owned())),
        (true, true) => Ok(PathSegment::Rest(name.to_owned())),
        (true, false) => Err(format!(
            "'{{{name}*}}' takes the rest of the path, so it must be the last"
        )),
    }
}

fn percent_decode(part: &str) -> Result<String, String> {
    let wrong = || format!("'{part}' has a wrong percent-encoding");
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (high, low) = digit().zip(digit()).ok_or_else(wrong)?;
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_split_into_literals_and_parameters() {
        let pattern: PathPattern = "/a%20b/{id}/c/{tail*}".parse().unwrap();
        assert_eq!(
            pattern.segments(),
            [
                PathSegment::Literal("a b".to_owned()),
                PathSegment::Param("id".to_owned()),
                PathSegment::Literal("c".to_owned()),
                PathSegment::Rest("tail".to_owned()),
            ]
        );
        assert_eq!(pattern.params().collect::<Vec<_>>(), ["id", "tail"]);
        assert!("/".parse::<PathPattern>().unwrap().segments().is_empty());
        assert_eq!(
            "/a/".parse::<PathPattern>().unwrap().segments(),
            [
                PathSegment::Literal("a".to_owned()),
                PathSegment::Literal(String::new())
            ]
        );
    }

    #[test]
    fn what_could_never_match_is_refused() {
        for wrong in [
            "", "a", "/a?b", "/a#b", "/a b", "//", "/a//b", "/{}", "/{a", "/a}", "/x{a}", "/{a}/{a}", "/{a*}/b", "/..",
            "/%zz", "/%ff", "/{a b}", "/{{a}}",
        ] {
            assert!(wrong.parse::<PathPattern>().is_err(), "{wrong:?}");
        }
    }
}
