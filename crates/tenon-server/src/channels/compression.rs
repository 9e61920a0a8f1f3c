//! Answers compressed as the caller accepts it: brotli or gzip.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, VARY};
use http::{HeaderValue, StatusCode};

use super::reply::Reply;
use super::reply_body::ReplyBody;
use super::router::weighted;

/// Above this size compressing would keep other requests waiting, so that it is done aside.
const ASIDE_BYTES: usize = 128 * 1024;
/// Compresses about as well as gzip's default, in less time.
const BROTLI_QUALITY: i32 = 4;
const BROTLI_WINDOW: i32 = 20;
const BROTLI_BUFFER: usize = 16 * 1024;

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// As it is.
    Identity,
    /// With gzip.
    Gzip,
    /// With brotli.
    Brotli,
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        }
    }
}

/// What the caller likes best; brotli if it likes both the same.
pub(super) fn wanted(headers: &HeaderMap) -> Coding {
    if !headers.contains_key(ACCEPT_ENCODING) {
        return Coding::Identity;
    }
    let (mut gzip, mut brotli, mut identity, mut others) = (None, None, None, 0);
    for (name, weight) in weighted(headers, &ACCEPT_ENCODING) {
        match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = Some(weight),
            "br" => brotli = Some(weight),
            "identity" => identity = Some(weight),
            "*" => others = weight,
            _ => {}
        }
    }
    let (gzip, brotli) = (gzip.unwrap_or(others), brotli.unwrap_or(others));
    let least = identity.unwrap_or(0);
    match (
        brotli > 0 && brotli >= gzip && brotli >= least,
        gzip > 0 && gzip >= least,
    ) {
        (true, _) => Coding::Brotli,
        (false, true) => Coding::Gzip,
        (false, false) => Coding::Identity,
    }
}

/// Compresses an answer, if it is whole, large enough, and not of a type that is compressed already.
pub(super) async fn compress(mut reply: Reply, coding: Coding, bytes_min: usize) -> Reply {
    let Some(body) = compressible(&reply, bytes_min) else {
        return reply;
    };
    reply
        .headers_mut()
        .append(VARY, HeaderValue::from_static("Accept-Encoding"));
    if coding == Coding::Identity {
        return reply;
    }
    let length = body.len();
    let compressed = if length > ASIDE_BYTES {
        let aside = tokio::task::spawn_blocking(move || encode(&body, coding));
        aside.await.ok().flatten()
    } else {
        encode(&body, coding)
    };
    let Some(compressed) = compressed.filter(|compressed| compressed.len() < length) else {
        return reply;
    };
    let headers = reply.headers_mut();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    // A strong tag names bytes; these are others.
    if let Some(tag) = headers.get(ETAG).and_then(|tag| tag.to_str().ok())
        && let Some(inner) = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'))
        && let Ok(tag) = HeaderValue::try_from(format!("\"{inner}-{}\"", coding.name()))
    {
        headers.insert(ETAG, tag);
    }
    *reply.body_mut() = ReplyBody::from(compressed);
    reply
}

fn compressible(reply: &Reply, bytes_min: usize) -> Option<Bytes> {
    let body = reply.body().whole().filter(|body| body.len() >= bytes_min)?;
    let headers = reply.headers();
    let has = |name, word: &str| {
        let values = headers
            .get_all(name)
            .iter()
            .filter_map(|value: &HeaderValue| value.to_str().ok());
        values.into_iter().any(|value| value.contains(word))
    };
    let fits = reply.status() != StatusCode::PARTIAL_CONTENT
        && !headers.contains_key(CONTENT_ENCODING)
        && !has(CACHE_CONTROL, "no-transform")
        && headers.get(CONTENT_TYPE).is_some_and(is_text_like);
    fits.then(|| body.clone())
}

/// Whether a media type is worth compressing: images, archives and the like are compressed already.
fn is_text_like(media_type: &HeaderValue) -> bool {
    let media_type = media_type.to_str().unwrap_or_default().to_ascii_lowercase();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    media_type.starts_with("text/")
        || media_type.ends_with("+json")
        || media_type.ends_with("+xml")
        || matches!(
            media_type,
            "application/json"
                | "application/xml"
                | "application/javascript"
                | "application/x-www-form-urlencoded"
                | "application/x-ndjson"
                | "application/yaml"
        )
}

fn encode(body: &[u8], coding: Coding) -> Option<Vec<u8>> {
    match coding {
        Coding::Identity => None,
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(5));
            encoder.write_all(body).ok()?;
            encoder.finish().ok()
        }
        Coding::Brotli => {
            let params = brotli::enc::BrotliEncoderParams {
                quality: BROTLI_QUALITY,
                lgwin: BROTLI_WINDOW,
                ..Default::default()
            };
            let mut compressed = Vec::with_capacity(body.len() / 4);
            let mut writer = brotli::CompressorWriter::with_params(&mut compressed, BROTLI_BUFFER, &params);
            writer.write_all(body).ok()?;
            drop(writer);
            Some(compressed)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http::Response;

    use super::*;

    #[test]
    fn the_caller_chooses_the_coding() {
        for (text, expected) in [
            ("gzip, deflate, br", Coding::Brotli),
            ("gzip", Coding::Gzip),
            ("br;q=0.5, gzip;q=0.8", Coding::Gzip),
            ("*", Coding::Brotli),
            ("*;q=0.5, br;q=0", Coding::Gzip),
            ("gzip;q=0, identity", Coding::Identity),
            ("identity;q=1, gzip;q=0.5", Coding::Identity),
            ("deflate", Coding::Identity),
            ("", Coding::Identity),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(text))]);
            assert_eq!(wanted(&headers), expected, "{text}");
        }
        assert_eq!(wanted(&HeaderMap::new()), Coding::Identity);
    }

    fn reply(media_type: &'static str, length: usize) -> Reply {
        let mut reply = Response::new(ReplyBody::from("abc ".repeat(length / 4)));
        reply
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        reply.headers_mut().insert(ETAG, HeaderValue::from_static("\"t\""));
        reply
    }

    #[tokio::test]
    async fn text_is_compressed_and_the_rest_is_not() {
        for (length, coding) in [(2_000, Coding::Gzip), (2_000, Coding::Brotli), (400_000, Coding::Gzip)] {
            let reply = compress(reply("application/json", length), coding, 1000).await;
            assert_eq!(reply.headers()[CONTENT_ENCODING], coding.name());
            assert_eq!(reply.headers()[VARY], "Accept-Encoding");
            assert_eq!(reply.headers()[ETAG], format!("\"t-{}\"", coding.name()));
            let body = reply.body().whole().unwrap();
            assert!(body.len() < length);
            let mut plain = Vec::new();
            match coding {
                Coding::Brotli => drop(
                    brotli::Decompressor::new(&body[..], 4096)
                        .read_to_end(&mut plain)
                        .unwrap(),
                ),
                _ => drop(flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap()),
            }
            assert_eq!(plain, "abc ".repeat(length / 4).into_bytes());
        }
        for (media_type, length) in [("image/png", 2_000), ("application/json", 900)] {
            let reply = compress(reply(media_type, length), Coding::Gzip, 1000).await;
            assert!(!reply.headers().contains_key(CONTENT_ENCODING) && !reply.headers().contains_key(VARY));
        }
        let plain = compress(reply("text/plain", 2_000), Coding::Identity, 1000).await;
        assert_eq!(plain.headers()[VARY], "Accept-Encoding");
        assert_eq!(plain.headers()[ETAG], "\"t\"");
    }
}
