use bytes::Bytes;
use httparse::{EMPTY_HEADER, Header, Response, Status};

use super::failure::ConnectionFailure;

/// The head of an answer is no longer than this, as in other clients.
const MAX_HEAD: usize = 64 * 1024;
/// The service sends about ten. More than these are an error, and not left out: one of them might
/// say how long the body is.
const MAX_HEADERS: usize = 100;
/// The longest body that is read. A page of 10 MiB takes 14 MiB in base64, and its other members at
/// most 5 MiB.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// An answer of HTTP/1.1.
#[derive(Clone, Debug)]
pub(in crate::stream::kinesis) struct Http1Answer {
    /// Status and headers.
    pub(in crate::stream::kinesis) head: AnswerHead,
    /// The whole body, without chunks.
    pub(in crate::stream::kinesis) body: Bytes,
}

/// What stands before a body, as far as it is of use here.
#[derive(Clone, Debug, Default)]
pub(in crate::stream::kinesis) struct AnswerHead {
    /// The HTTP status, such as 200 or 400.
    pub(in crate::stream::kinesis) status: u16,
    /// It tells CBOR from JSON, and an answer of the service from one of a proxy.
    pub(in crate::stream::kinesis) content_type: Option<String>,
    /// `x-amzn-errortype`.
    pub(in crate::stream::kinesis) error_type: Option<String>,
    /// `x-amzn-requestid`.
    pub(in crate::stream::kinesis) request_id: Option<String>,
    /// When the service answered, by its own clock, which requests are signed by.
    pub(in crate::stream::kinesis) date: Option<String>,
    /// It was not made for this call, but kept by something on the way.
    pub(in crate::stream::kinesis) is_cached: bool,
    /// Where the body ends.
    pub(super) body: BodyLength,
    /// The connection takes another request afterwards.
    pub(super) keeps_alive: bool,
}

/// How long the body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BodyLength {
    /// Neither a length nor chunks: everything up to the end of the connection. Whether it is whole
    /// cannot be told.
    #[default]
    UntilClosed,
    /// So many bytes.
    Known(usize),
    /// Pieces, each with its length, up to an empty one.
    Chunked,
}

impl AnswerHead {
    /// The head that these bytes begin with, and its length; nothing when more have to come. What
    /// comes before the answer proper (status 100 to 199) is passed over, so the length may be
    /// that of several.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, ConnectionFailure> {
        let mut from = 0;
        loop {
            let mut headers = [EMPTY_HEADER; MAX_HEADERS];
            let mut response = Response::new(&mut headers);
            let rest = bytes.get(from..).unwrap_or_default();
            match response.parse(rest).map_err(unreadable)? {
                Status::Partial if rest.len() > MAX_HEAD => {
                    return Err(unreadable(format!(
                        "its head is longer than {MAX_HEAD} bytes"
                    )));
                }
                Status::Partial => return Ok(None),
                Status::Complete(length) => {
                    from += length;
                    let status = response.code.unwrap_or_default();
                    if !(100..200).contains(&status) {
                        let keeps_alive = response.version == Some(1);
                        return Self::of(status, keeps_alive, response.headers)
                            .map(|head| Some((head, from)));
                    }
                }
            }
        }
    }

    /// Reads the headers that decide what the body is, and those that errors are judged by.
    ///
    /// What could be understood in two ways is an error (RFC 9112, section 6.3): a proxy on the way
    /// might take another end for that of the body, and the next answer on this connection would
    /// begin in the middle of something.
    fn of(
        status: u16,
        keeps_alive: bool,
        headers: &[Header<'_>],
    ) -> Result<Self, ConnectionFailure> {
        let mut head = Self {
            status,
            keeps_alive,
            ..Self::default()
        };
        let (mut length, mut encoding, mut closes) = (None, None::<String>, false);
        for header in headers {
            let value = || String::from_utf8_lossy(header.value).trim().to_owned();
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                let said = value();
                if length.as_ref().is_some_and(|length| *length != said) {
                    return Err(unreadable("it has two lengths"));
                }
                length = Some(said);
            } else if is("transfer-encoding") {
                let said = value().to_ascii_lowercase();
                encoding = Some(match encoding {
                    Some(before) => format!("{before}, {said}"),
                    None => said,
                });
            } else if is("connection") {
                let said = value().to_ascii_lowercase();
                let says = |word| said.split(',').any(|part| part.trim() == word);
                head.keeps_alive |= says("keep-alive");
                closes |= says("close");
            } else if is("content-type") {
                head.content_type = Some(value());
            } else if is("x-amzn-errortype") {
                head.error_type = Some(value());
            } else if is("x-amzn-requestid") || is("x-amz-request-id") {
                head.request_id.get_or_insert_with(value);
            } else if is("date") {
                head.date = Some(value());
            } else if is("age") {
                // Only a cache adds `age`. Its `date` is that of the answer that it kept, so the
                // clock of the service must not be set by it.
                head.is_cached = true;
            }
        }
        head.body = match (encoding.as_deref(), length) {
            _ if status == 204 || status == 304 => BodyLength::Known(0),
            (Some("chunked"), None) => BodyLength::Chunked,
            // What is said twice may be understood in two ways.
            (Some("chunked"), Some(_)) => return Err(unreadable("it has a length and chunks")),
            (Some(_), _) => return Err(unreadable("its transfer encoding is not known")),
            (None, Some(said)) => {
                let is_number = said.bytes().all(|byte| byte.is_ascii_digit());
                let length = said.parse().ok().filter(|_| is_number);
                let length = length.ok_or_else(|| unreadable("its length is no number"))?;
                BodyLength::Known(bounded(length)?)
            }
            (None, None) => BodyLength::UntilClosed,
        };
        head.keeps_alive &= !closes && head.body != BodyLength::UntilClosed;
        Ok(head)
    }
}

/// The length of a body, if it is one that is read.
pub(super) fn bounded(length: usize) -> Result<usize, ConnectionFailure> {
    if length > MAX_BODY {
        return Err(unreadable(format!(
            "its body has {length} bytes or more, at most {MAX_BODY} are read"
        )));
    }
    Ok(length)
}

/// The length of the chunk that these bytes begin with, and how many of them say so; nothing when
/// more have to come.
pub(super) fn chunk_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, ConnectionFailure> {
    match httparse::parse_chunk_size(bytes) {
        Ok(Status::Complete((from, length))) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            Ok(Some((from, bounded(length)?)))
        }
        Ok(Status::Partial) if bytes.len() <= MAX_HEAD => Ok(None),
        _ => Err(unreadable("the length of a chunk is no number")),
    }
}

/// How many bytes the trailers have, with the empty line that ends them; nothing when more have to
/// come.
pub(super) fn trailers(bytes: &[u8]) -> Result<Option<usize>, ConnectionFailure> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    match httparse::parse_headers(bytes, &mut headers) {
        Ok(Status::Complete((length, _))) => Ok(Some(length)),
        Ok(Status::Partial) if bytes.len() <= MAX_HEAD => Ok(None),
        _ => Err(unreadable("its trailers are none")),
    }
}

/// What came is not HTTP as it is understood here. The connection is given up with it.
pub(super) fn unreadable(why: impl Into<crate::BoxError>) -> ConnectionFailure {
    ConnectionFailure::broken("not a valid HTTP answer", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<(AnswerHead, usize)>, ConnectionFailure> {
        AnswerHead::parse(text.as_bytes())
    }

    #[test]
    fn the_length_of_a_body_is_said_in_one_way() {
        for (headers, body, keeps_alive) in [
            ("content-length: 7\r\n", BodyLength::Known(7), true),
            (
                "Content-Length: 7\r\nContent-Length: 7\r\n",
                BodyLength::Known(7),
                true,
            ),
            ("transfer-encoding: Chunked\r\n", BodyLength::Chunked, true),
            (
                "connection: x, Close\r\ncontent-length: 0\r\n",
                BodyLength::Known(0),
                false,
            ),
            (
                "connection: close\r\nconnection: keep-alive\r\ncontent-length: 0\r\n",
                BodyLength::Known(0),
                false,
            ),
            ("", BodyLength::UntilClosed, false),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{headers}\r\nrest");
            let (head, length) = head(&text).unwrap().unwrap();
            assert_eq!(
                (head.body, head.keeps_alive),
                (body, keeps_alive),
                "{headers}"
            );
            assert_eq!(&text[length..], "rest");
        }
        for headers in [
            "content-length: 7\r\ncontent-length: 8\r\n",
            "content-length: +7\r\n",
            "content-length: -1\r\n",
            "content-length: 67108865\r\n",
            "content-length: 99999999999999999999999\r\n",
            "content-length: 7\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
        ] {
            assert!(
                head(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).is_err(),
                "{headers}"
            );
        }
    }

    #[test]
    fn what_comes_before_the_answer_is_passed_over() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 403 No\r\ncontent-length: 2\r\n\
                    X-Amzn-ErrorType: Code\r\nage: 1\r\n\r\nno";
        let (head, length) = head(text).unwrap().unwrap();
        assert_eq!((head.status, &text[length..]), (403, "no"));
        assert_eq!(head.error_type.as_deref(), Some("Code"));
        assert!(head.is_cached && !head.keeps_alive);
    }

    #[test]
    fn a_head_that_is_cut_off_waits_and_one_without_end_is_refused() {
        assert!(head("HTTP/1.1 200 OK\r\ncontent-").unwrap().is_none());
        assert!(head("").unwrap().is_none());
        assert!(head("SSH-2.0\r\n").is_err());
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(MAX_HEAD));
        assert!(head(&endless).is_err());
    }
}
