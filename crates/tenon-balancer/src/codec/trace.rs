//! W3C Trace Context: whether a `traceparent` is one.

/// The id of a trace: 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId([u8; 32]);

impl TraceId {
    /// The id in the value of a `traceparent`, if that is valid. Versions to come may carry more behind what is known.
    pub(crate) fn of(value: &[u8]) -> Option<Self> {
        let (known, more) = value.split_first_chunk::<55>()?;
        let id: [u8; 32] = known[3..35].try_into().ok()?;
        let (version, parent) = (&known[..2], &known[36..52]);
        let is_hex = |bytes: &[u8]| bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_set = |bytes: &[u8]| is_hex(bytes) && bytes.iter().any(|byte| *byte != b'0');
        let fits = is_hex(version)
            && version != b"ff"
            && is_set(&id)
            && is_set(parent)
            && is_hex(&known[53..])
            && [2, 35, 52].iter().all(|dash| known[*dash] == b'-')
            && (more.is_empty() || (version != b"00" && more[0] == b'-'));
        fits.then_some(Self(id))
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_standard_allows_is_a_trace() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let id = TraceId::of(good.as_bytes()).unwrap();
        assert_eq!(id.as_str(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(TraceId::of(b"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        ] {
            assert!(TraceId::of(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
