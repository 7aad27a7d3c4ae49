use crate::protocol::{Action, Exchange, Line, Lines, Said, Then};

/// Reads what a child process writes, in pieces: the first byte says how long they are.
///
/// # Panics
/// When a checkpoint would be stored, or an exchange end, that a whole line of the child, as another
/// reader of JSON finds it, did not ask for.
pub fn multilang(input: &[u8]) {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let (mut lines, mut exchange) = (Lines::default(), Exchange::default());
    exchange.ask(Action::ProcessRecords);
    let mut each = |line: Line<'_>| {
        let then = exchange.hear(Said::read(line));
        if then == Then::GoOn {
            return;
        }
        let Line::Whole(text) = line else {
            panic!("a line that is too long means {then:?}");
        };
        let object = serde_json::Deserializer::from_slice(text)
            .into_iter::<serde_json::Map<String, serde_json::Value>>()
            .next();
        let object = object.expect("a value").expect("an object");
        match then {
            Then::Store(wish) => {
                assert_eq!(object["action"], "checkpoint");
                let sequence = object
                    .get("sequenceNumber")
                    .filter(|value| !value.is_null());
                let asked = sequence.map(|value| match value.as_str() {
                    Some(text) => text.to_owned(),
                    None => value.to_string(),
                });
                assert_eq!(wish.sequence, asked);
            }
            Then::Over => {
                assert_eq!(object["action"], "status");
                assert_eq!(object["responseFor"], "processRecords");
                exchange.ask(Action::ProcessRecords);
            }
            Then::OutOfStep { .. } => assert_eq!(object["action"], "status"),
            Then::GoOn => {}
        }
    };
    for piece in bytes.chunks(usize::from(*size).max(1)) {
        lines.take(piece, &mut each);
    }
    lines.finish(&mut each);
}
