//! Headers that rules set or take away.

use memchr::memmem;

/// Changes to the header fields of a head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HeaderEdits {
    /// Name in lower case, and the value it has then; empty takes the field away.
    fields: Vec<(Box<str>, Box<str>)>,
    /// Whether what is there already stays beside the new value.
    adds: bool,
}

impl HeaderEdits {
    /// Each field has the given value then and no other; an empty value takes it away.
    pub(crate) fn set<'a>(fields: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        Self {
            fields: fields
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase().into(), value.trim().into()))
                .collect(),
            adds: false,
        }
    }

    /// Each field is added, whether there is one of its name or not.
    pub(crate) fn add(fields: Vec<(&'static str, String)>) -> Self {
        Self {
            fields: fields
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            adds: true,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Name in lower case, new value (none takes the field away), and whether old values stay.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>, bool)> {
        self.fields
            .iter()
            .map(|(name, value)| (&**name, Some(&**value).filter(|value| !value.is_empty()), self.adds))
    }

    /// Changes a head as HTTP/1.1 writes it, which begins at `start` of `head` and ends with its empty line at the end.
    pub(crate) fn apply_to_head(&self, head: &mut Vec<u8>, start: usize) {
        for (name, value, adds) in self.iter() {
            if !adds {
                remove_field(head, start, name);
            }
            if let Some(value) = value {
                head.truncate(head.len() - 2);
                for part in [name, ": ", value, "\r\n\r\n"] {
                    head.extend_from_slice(part.as_bytes());
                }
            }
        }
    }
}

/// The value of the first field of that name, in any case, in a head as HTTP/1.1 writes it.
pub(crate) fn field_of_head<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (start, end) = find_field(head, 0, name)?;
    Some(head[start + name.len() + 1..end].trim_ascii())
}

fn remove_field(head: &mut Vec<u8>, start: usize, name: &str) {
    while let Some((from, to)) = find_field(head, start, name) {
        head.drain(from..to);
    }
}

/// Where the line of a field begins and ends.
fn find_field(head: &[u8], start: usize, name: &str) -> Option<(usize, usize)> {
    let mut at = start;
    loop {
        let line = at + memmem::find(&head[at..], b"\r\n")? + 2;
        let rest = &head[line..];
        if rest.get(name.len()) == Some(&b':') && rest[..name.len()].eq_ignore_ascii_case(name.as_bytes()) {
            let length = memmem::find(rest, b"\r\n")? + 2;
            return Some((line, line + length));
        }
        at = line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_replaced_added_and_taken_away() {
        let head = "before\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nserver: x\r\nx-a: 2\r\nX-AB: 3\r\n\r\n";
        let texts = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect()
        };
        for (edits, expected) in [
            (
                vec![("X-A", "9")],
                "HTTP/1.1 200 OK\r\nserver: x\r\nX-AB: 3\r\nx-a: 9\r\n\r\n",
            ),
            (
                vec![("Server", "")],
                "HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nX-AB: 3\r\n\r\n",
            ),
            (
                vec![("b", ""), ("X-A", ""), ("x-ab", ""), ("server", "")],
                "HTTP/1.1 200 OK\r\n\r\n",
            ),
        ] {
            let mut bytes = head.as_bytes().to_vec();
            let edits = texts(&edits);
            let edits = HeaderEdits::set(edits.iter().map(|(name, value)| (name, value)));
            edits.apply_to_head(&mut bytes, 10);
            assert_eq!(String::from_utf8(bytes).unwrap(), format!("before\r\n\r\n{expected}"));
        }
        let mut bytes = head.as_bytes()[10..].to_vec();
        HeaderEdits::add(vec![("x-a", "9".into())]).apply_to_head(&mut bytes, 0);
        assert!(bytes.ends_with(b"X-AB: 3\r\nx-a: 9\r\n\r\n"));
        assert_eq!(field_of_head(&bytes, "x-a"), Some(&b"1"[..]));
        assert_eq!(field_of_head(&bytes, "x"), None);
    }
}
