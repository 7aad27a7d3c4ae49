use super::reader::Form;

/// The body of a call of `GetRecords`. `arn` is there only for a stream that was named by it.
///
/// Written by hand, because the SDK's own writer of requests cannot be had without the rest of its
/// call.
pub(crate) fn get_records(form: Form, iterator: &str, limit: u32, arn: Option<&str>) -> Vec<u8> {
    // 64: the names of the members, the punctuation and the limit. So it is allocated once.
    let mut body = Vec::with_capacity(iterator.len() + arn.map_or(0, str::len) + 64);
    match form {
        Form::Json => {
            body.extend_from_slice(b"{\"ShardIterator\":");
            json_text(&mut body, iterator);
            body.extend_from_slice(format!(",\"Limit\":{limit}").as_bytes());
            if let Some(arn) = arn {
                body.extend_from_slice(b",\"StreamARN\":");
                json_text(&mut body, arn);
            }
            body.push(b'}');
        }
        Form::Cbor => {
            head(&mut body, MAP, if arn.is_some() { 3 } else { 2 });
            cbor_text(&mut body, "ShardIterator");
            cbor_text(&mut body, iterator);
            cbor_text(&mut body, "Limit");
            head(&mut body, UNSIGNED, limit);
            if let Some(arn) = arn {
                cbor_text(&mut body, "StreamARN");
                cbor_text(&mut body, arn);
            }
        }
    }
    body
}

/// Major types (RFC 8949, section 3.1), already in the upper three bits of the first byte, so that
/// an argument is added by an `or`.
const UNSIGNED: u8 = 0 << 5;
const TEXT: u8 = 3 << 5;
const MAP: u8 = 5 << 5;

/// A text, with its length in front.
fn cbor_text(body: &mut Vec<u8>, text: &str) {
    // An iterator has some hundred bytes, an ARN as many.
    head(body, TEXT, u32::try_from(text.len()).unwrap_or(u32::MAX));
    body.extend_from_slice(text.as_bytes());
}

/// The head of a value: its type and its argument, the latter in the fewest bytes.
fn head(body: &mut Vec<u8>, major: u8, argument: u32) {
    let bytes = argument.to_be_bytes();
    match argument {
        0..=23 => body.push(major | bytes[3]),
        24..=0xFF => body.extend_from_slice(&[major | 24, bytes[3]]),
        0x100..=0xFFFF => body.extend_from_slice(&[major | 25, bytes[2], bytes[3]]),
        _ => {
            body.push(major | 26);
            body.extend_from_slice(&bytes);
        }
    }
}

/// A text in quotes. Iterators are base64, but they are the endpoint's to choose.
fn json_text(body: &mut Vec<u8>, text: &str) {
    body.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => body.extend_from_slice(&[b'\\', byte]),
            0..0x20 => body.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            // What is not ASCII stays as it is: the body is UTF-8.
            _ => body.push(byte),
        }
    }
    body.push(b'"');
}
