//! What a caller accepts: `Accept`, and the other headers that weigh their values.

use std::cell::OnceCell;

use http::header::ACCEPT;
use http::{HeaderMap, HeaderName};
use tenon_connectors::MediaRange;

/// The media types that a caller accepts; read when first asked for, because most channels don't ask.
#[derive(Debug)]
pub(in crate::channels) struct Accepted<'a> {
    headers: &'a HeaderMap,
    ranges: OnceCell<Vec<(MediaRange, u16)>>,
}

impl<'a> Accepted<'a> {
    pub(in crate::channels) fn new(headers: &'a HeaderMap) -> Self {
        Self {
            headers,
            ranges: OnceCell::new(),
        }
    }

    /// How much the caller wants what a channel answers with, in thousandths; 0 is not at all.
    pub(in crate::channels) fn quality(&self, offered: &MediaRange) -> u16 {
        let ranges = self.ranges.get_or_init(|| self.read());
        if ranges.is_empty() {
            return 1000;
        }
        let fitting = ranges.iter().filter(|(range, _)| range.meets(offered));
        if offered.specificity() == 2 {
            // The most specific range that fits speaks for a type, be it a refusal.
            let speaking = fitting.max_by_key(|(range, _)| range.specificity());
            return speaking.map_or(0, |(_, quality)| *quality);
        }
        fitting.map(|(_, quality)| *quality).max().unwrap_or(0)
    }

    fn read(&self) -> Vec<(MediaRange, u16)> {
        weighted(self.headers, &ACCEPT)
            .filter_map(|(text, quality)| Some((text.parse().ok()?, quality)))
            .collect()
    }
}

/// The values of a header such as `a, b;q=0.5`, each with its weight in thousandths. Other parameters are left out.
pub(in crate::channels) fn weighted<'a>(
    headers: &'a HeaderMap,
    name: &'a HeaderName,
) -> impl Iterator<Item = (&'a str, u16)> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|item| {
        let mut parts = item.split(';');
        let value = parts.next()?.trim();
        let weight = parts.find_map(|part| {
            let (name, weight) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| weight.trim())
        });
        (!value.is_empty()).then(|| (value, weight.map_or(1000, thousandths)))
    })
}

/// `0.5` as 500. What is no weight counts as the full one.
fn thousandths(text: &str) -> u16 {
    let Some(weight) = text.parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight)) else {
        return 1000;
    };
    // Between 0 and 1000 by the check above.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to lie within 0 and 1000"
    )]
    let thousandths = (weight * 1000.0).round() as u16;
    thousandths
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_most_specific_range_speaks_for_a_type() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_static("text/*;q=0.3, text/csv;q=0"));
        headers.append(
            ACCEPT,
            HeaderValue::from_static("application/json; charset=x; q=0.8, broken"),
        );
        let accepted = Accepted::new(&headers);
        for (offered, quality) in [
            ("text/html", 300),
            ("text/csv", 0),
            ("application/json", 800),
            ("image/png", 0),
            ("text/*", 300),
            ("*/*", 800),
        ] {
            assert_eq!(accepted.quality(&offered.parse().unwrap()), quality, "{offered}");
        }
        let nothing = HeaderMap::new();
        assert_eq!(Accepted::new(&nothing).quality(&"a/b".parse().unwrap()), 1000);
    }
}
