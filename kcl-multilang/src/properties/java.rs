/// The lines of a properties file that set something, in their order.
///
/// The format is that of `java.util.Properties`: the bytes are ISO-8859-1; `#` and `!` begin a
/// comment; a key ends at `=`, `:` or a blank; `\` at the end of a line continues it on the next;
/// `\uXXXX` is a character.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JavaProperties(Vec<(String, String)>);

/// The file has an escape `\u` without four hexadecimal digits behind it, which Java refuses too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`\\u{found}` in the line that begins with `{key}`: expected four hexadecimal digits")]
pub struct BadEscape {
    /// What stands behind the `\u`.
    found: String,
    /// The beginning of the line's key, so that the line can be found.
    key: String,
}

impl JavaProperties {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`BadEscape`], for the only thing that is no properties file.
    pub fn read(bytes: &[u8]) -> Result<Self, BadEscape> {
        // ISO-8859-1: each byte is the character of its number, so no byte can be wrong.
        let text: String = bytes.iter().copied().map(char::from).collect();
        let mut entries = Vec::new();
        for line in logical_lines(&text) {
            // Split first: an escaped `=` or blank is part of the key.
            let (key, value) = split(&line);
            let unescaped = |text: &str| {
                unescape(text).map_err(|found| BadEscape {
                    found,
                    key: key.chars().take(40).collect(),
                })
            };
            entries.push((unescaped(key)?, unescaped(value)?));
        }
        Ok(Self(entries))
    }

    /// Each key once, where it was set last, with its value.
    #[must_use]
    pub fn entries(&self) -> Vec<(&str, &str)> {
        let mut entries: Vec<(&str, &str)> = Vec::new();
        for (key, value) in &self.0 {
            entries.retain(|(other, _)| other != key);
            entries.push((key, value));
        }
        entries
    }
}

/// What Java skips at the beginning of a line and around the separator. Not at its end: a value
/// keeps its trailing blanks.
const fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\x0c')
}

/// The lines without comments and empty lines, those that go on put together.
fn logical_lines(text: &str) -> Vec<String> {
    // `\r\n` is one end of a line.
    let text = text.replace("\r\n", "\n");
    let mut natural = text.split(['\n', '\r']);
    let mut lines = Vec::new();
    while let Some(line) = natural.next() {
        let line = line.trim_start_matches(is_blank);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut whole = line.to_owned();
        while goes_on(&whole) {
            whole.pop();
            match natural.next() {
                Some(next) => whole.push_str(next.trim_start_matches(is_blank)),
                None => break,
            }
        }
        lines.push(whole);
    }
    lines
}

/// Whether the next line continues this one: it ends in an odd number of backslashes, as two of
/// them are an escaped one.
fn goes_on(line: &str) -> bool {
    line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1
}

/// The key and the value, both with their escapes. A line without a separator is a key with an
/// empty value.
fn split(line: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let end = line
        .char_indices()
        .find(|(_, character)| {
            let ends = !is_escaped && (is_blank(*character) || matches!(character, '=' | ':'));
            is_escaped = *character == '\\' && !is_escaped;
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

/// The text without its escapes, or what follows a `\u` that is none.
fn unescape(text: &str) -> Result<String, String> {
    let mut units: Vec<u16> = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let character = match character {
            '\\' => match characters.next() {
                Some('u') => {
                    let digits: String = characters.by_ref().take(4).collect();
                    let is_whole =
                        digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                    match u16::from_str_radix(&digits, 16) {
                        Ok(unit) if is_whole => units.push(unit),
                        _ => return Err(digits),
                    }
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                // Java drops the backslash of an escape that it does not know, and so does a path
                // of Windows that was not escaped lose its own.
                Some(other) => other,
                None => continue,
            },
            other => other,
        };
        // Collected in UTF-16, because two `\u` together may be one character.
        units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
    }
    Ok(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `java.util.Properties` of a JDK 17 makes of the same text.
    #[test]
    fn the_format_is_that_of_java() {
        let text =
            b"# comment \\\n  ! another\n\na=1\n b : 2\nc 3\nd\te\nf\ng==h\ni=j  \nk\\ l\\=m=n\n\
            o = p,\\\n    q,\\\r\n\tr\ns=\\u00e9\\t\\x\nt=\xe9\nu=v\\\\\nw=\\\n\na=2\nz = \\";
        let read = JavaProperties::read(text).unwrap();
        assert_eq!(
            read.entries(),
            [
                ("b", "2"),
                ("c", "3"),
                ("d", "e"),
                ("f", ""),
                ("g", "=h"),
                ("i", "j  "),
                ("k l=m", "n"),
                ("o", "p,q,r"),
                ("s", "é\tx"),
                ("t", "é"),
                ("u", "v\\"),
                ("w", ""),
                ("a", "2"),
                ("z", ""),
            ]
        );
        let error = JavaProperties::read(b"a=\\u12g4").unwrap_err().to_string();
        assert_eq!(
            error,
            "`\\u12g4` in the line that begins with `a`: expected four hexadecimal digits"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = JavaProperties::read(&bytes);
        }

        #[test]
        fn a_plain_line_is_read_back(key in "[a-zA-Z.]{1,20}", value in "[a-zA-Z0-9|,:/= ]{0,30}") {
            let text = format!("{key} = {value}\r\n");
            let read = JavaProperties::read(text.as_bytes()).unwrap();
            prop_assert_eq!(read.entries(), [(&*key, value.trim_start_matches(' '))]);
        }
    }
}
