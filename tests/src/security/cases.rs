//! Requests that two readers could read differently, and what our load balancer does with each.

/// What our load balancer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Answers this status once, closes, and tells no server.
    Refused(u16),
    /// Passes on this many requests in which nothing is left to doubt.
    Served(usize),
}

/// One of the requests.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is about.
    pub group: &'static str,
    /// What is wrong with it, or unusual.
    pub name: &'static str,
    /// What is sent, at once.
    pub bytes: Vec<u8>,
    /// What our load balancer does.
    pub expected: Expected,
    /// Why that is right where another load balancer refuses; empty if none does.
    pub why: &'static str,
}

/// What stands for what in the table.
const SHORT: [(&str, &str); 4] = [
    ("{POST}", "POST / HTTP/1.1\r\nHost: t\r\n"),
    ("{GET}", "GET / HTTP/1.1\r\nHost: t\r\n"),
    ("{CHUNKED}", "Transfer-Encoding: chunked\r\n"),
    ("{SMUGGLED}", "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"),
];

/// All of them, as `cases.txt` beside this file lists them.
///
/// # Panics
///
/// If a line of that can't be read.
pub fn cases() -> Vec<Case> {
    let mut group = "";
    let mut cases = Vec::new();
    for line in include_str!("cases.txt").lines() {
        if let Some(name) = line.strip_prefix('[') {
            group = name.trim_end_matches(']');
        } else if !line.is_empty() && !line.starts_with('#') {
            cases.push(read(group, line).unwrap_or_else(|| panic!("this line can't be read: {line}")));
        }
    }
    cases
}

fn read(group: &'static str, line: &'static str) -> Option<Case> {
    let mut parts = line.split('\t');
    let (expected, name, text) = (parts.next()?, parts.next()?, parts.next()?);
    let (verb, number) = expected.split_once(' ')?;
    Some(Case {
        group,
        name,
        bytes: bytes(text)?,
        expected: match verb {
            "refuses" => Expected::Refused(number.parse().ok()?),
            "passes" => Expected::Served(number.parse().ok()?),
            _ => return None,
        },
        why: parts.next().unwrap_or_default(),
    })
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut text = text.replace("{LONG}", &"x".repeat(70_000));
    for (short, long) in SHORT {
        text = text.replace(short, long);
    }
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (escaped, after) = rest.split_first()?;
        rest = after;
        bytes.push(match escaped {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'x' => {
                let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}
