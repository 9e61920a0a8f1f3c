//! Paths as they come: split at slashes, their percent-encoding undone.

use std::borrow::Cow;

/// Splits a path into its segments and undoes their percent-encoding. None if no channel can have it: the encoding is broken or
/// no UTF-8, it holds control characters, or it climbs (`..`), which no client does that means well.
pub(super) fn split(path: &str) -> Option<Vec<Cow<'_, str>>> {
    let path = path.strip_prefix('/')?;
    if path.is_empty() {
        return Some(Vec::new());
    }
    path.split('/').map(segment).collect()
}

fn segment(text: &str) -> Option<Cow<'_, str>> {
    let decoded = if text.contains('%') {
        Cow::Owned(percent_decode(text)?)
    } else {
        Cow::Borrowed(text)
    };
    let climbs = matches!(&*decoded, "." | "..");
    let fits = !climbs && !decoded.bytes().any(|byte| byte.is_ascii_control());
    fits.then_some(decoded)
}

/// Undoes percent-encoding; none if it is broken or not UTF-8.
pub(in crate::channels) fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
