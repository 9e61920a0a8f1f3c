//! Path patterns of HTTP routes, such as `/customers/{id}/orders`. Matching is the server's business.

use std::fmt;
use std::str::FromStr;

/// A path with parameters: `/customers/{id}`. A parameter takes a segment or a part of one (`/{year}-{month}.pdf`); the last
/// one may be `{name*}`, which takes the rest of the path with its slashes.
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
    /// Literals and parameters in turn, at least one of each; no two parameters touch. A parameter takes at least one
    /// character, and the first of them as many as it can.
    Mixed(Vec<SegmentPart>),
    /// Takes what is left of the path, at least one character, as the parameter of this name. Only at the end.
    Rest(String),
}

/// A part of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SegmentPart {
    /// Is matched as it is, not empty. Percent-encoding was undone.
    Literal(String),
    /// Takes at least one character, as the parameter of this name.
    Param(String),
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
        self.segments.iter().flat_map(PathSegment::params)
    }

    /// The pattern with the names of its parameters left out: equal for two patterns that take the same paths.
    pub fn shape(&self) -> String {
        let mut shape = String::with_capacity(self.text.len());
        for segment in &self.segments {
            shape.push('/');
            match segment {
                PathSegment::Literal(text) => shape.push_str(text),
                PathSegment::Param(_) => shape.push_str("{}"),
                PathSegment::Rest(_) => shape.push_str("{*}"),
                PathSegment::Mixed(parts) => shape.extend(parts.iter().map(|part| match part {
                    SegmentPart::Literal(text) => text.as_str(),
                    SegmentPart::Param(_) => "{}",
                })),
            }
        }
        shape
    }

    /// The same pattern, but a parameter that is its last segment takes the rest of the path with its slashes.
    #[must_use]
    pub fn taking_slashes(mut self) -> Self {
        if let Some(last) = self.segments.last_mut()
            && let PathSegment::Param(name) = last
        {
            *last = PathSegment::Rest(std::mem::take(name));
        }
        self
    }
}

impl PathSegment {
    /// The names of its parameters from left to right.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        let (whole, parts) = match self {
            Self::Literal(_) => (None, [].as_slice()),
            Self::Param(name) | Self::Rest(name) => (Some(name.as_str()), [].as_slice()),
            Self::Mixed(parts) => (None, parts.as_slice()),
        };
        whole.into_iter().chain(parts.iter().filter_map(|part| match part {
            SegmentPart::Literal(_) => None,
            SegmentPart::Param(name) => Some(name.as_str()),
        }))
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
    let mut segments: Vec<PathSegment> = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        if part.is_empty() && !is_last {
            return Err("it has two slashes in a row".to_owned());
        }
        segments.push(parse_segment(part, is_last)?);
    }
    let mut names: Vec<&str> = segments.iter().flat_map(PathSegment::params).collect();
    names.sort_unstable();
    if let Some((name, _)) = names.iter().zip(names.iter().skip(1)).find(|(one, other)| one == other) {
        return Err(format!("the parameter '{name}' is in it twice"));
    }
    Ok(segments)
}

fn parse_segment(text: &str, is_last: bool) -> Result<PathSegment, String> {
    if matches!(text, "." | "..") {
        return Err("a segment can't be '.' or '..'".to_owned());
    }
    let unbalanced = || format!("the braces in '{text}' don't match; a parameter is written {{id}}");
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let (literal, tail) = rest.split_at(start);
        let (name, tail) = tail[1..].split_once('}').ok_or_else(unbalanced)?;
        if literal.contains('}') || name.contains('{') {
            return Err(unbalanced());
        }
        if !literal.is_empty() {
            parts.push(SegmentPart::Literal(percent_decode(literal)?));
        } else if matches!(parts.last(), Some(SegmentPart::Param(_))) {
            return Err(format!(
                "in '{text}' nothing stands between two parameters, so nobody knows where one ends"
            ));
        }
        parts.push(SegmentPart::Param(name.to_owned()));
        rest = tail;
    }
    if rest.contains('}') {
        return Err(unbalanced());
    }
    if parts.is_empty() {
        return percent_decode(rest).map(PathSegment::Literal);
    }
    if !rest.is_empty() {
        parts.push(SegmentPart::Literal(percent_decode(rest)?));
    }
    if let [SegmentPart::Param(name)] = parts.as_slice() {
        return whole_segment(name, is_last);
    }
    for part in &parts {
        if let SegmentPart::Param(name) = part {
            check_name(name)?;
        }
    }
    Ok(PathSegment::Mixed(parts))
}

/// A segment that is one parameter: `{id}` or `{rest*}`.
fn whole_segment(name: &str, is_last: bool) -> Result<PathSegment, String> {
    let (name, takes_rest) = name.strip_suffix('*').map_or((name, false), |name| (name, true));
    check_name(name)?;
    match (takes_rest, is_last) {
        (false, _) => Ok(PathSegment::Param(name.to_owned())),
        (true, true) => Ok(PathSegment::Rest(name.to_owned())),
        (true, false) => Err(format!(
            "'{{{name}*}}' takes the rest of the path, so it must be the last"
        )),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let is_name = name
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if name.is_empty() || !is_name {
        return Err(format!(
            "'{name}' is not the name of a parameter; use letters, digits, '_', '-' and '.'"
        ));
    }
    Ok(())
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
    fn a_segment_may_hold_several_parameters() {
        let pattern: PathPattern = "/r/{year}-{month}.pdf".parse().unwrap();
        let param = |name: &str| SegmentPart::Param(name.to_owned());
        let literal = |text: &str| SegmentPart::Literal(text.to_owned());
        assert_eq!(
            pattern.segments()[1],
            PathSegment::Mixed(vec![param("year"), literal("-"), param("month"), literal(".pdf")])
        );
        assert_eq!(pattern.params().collect::<Vec<_>>(), ["year", "month"]);
        let slashes = "/a/{b}".parse::<PathPattern>().unwrap().taking_slashes();
        assert_eq!(slashes.segments()[1], PathSegment::Rest("b".to_owned()));
    }

    #[test]
    fn what_could_never_match_is_refused() {
        for wrong in [
            "", "a", "/a?b", "/a#b", "/a b", "//", "/a//b", "/{}", "/{a", "/a}", "/{a}{b}", "/{a}-{a}", "/{a*}-x",
            "/{a}/{a}", "/{a*}/b", "/..", "/%zz", "/%ff", "/{a b}", "/{{a}}",
        ] {
            assert!(wrong.parse::<PathPattern>().is_err(), "{wrong:?}");
        }
    }
}
