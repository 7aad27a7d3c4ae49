use super::{Action, CheckpointWish, Said};

/// What follows from what a child says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// It has done what it was asked to: the exchange is over.
    Over,
    /// A checkpoint has to be stored, and its result told; the exchange goes on.
    Store(CheckpointWish),
    /// The exchange goes on.
    GoOn,
    /// The child is out of step, and nothing that it says can be relied on any more.
    OutOfStep {
        /// What it says that it has done.
        done: Action,
        /// What it was asked to do; `None` if it was not asked at all.
        asked: Option<Action>,
    },
}

/// The rules of the talk with a child. It is strictly one question and its answer: between a
/// question and the status that answers it, the child may ask for checkpoints.
///
/// A checkpoint that comes while nothing is asked is one that the child made late, after its
/// handler had returned; it is stored as one of the call before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// What the child owes a status for. `None` between two calls of the handler, when the daemon
    /// only listens.
    asked: Option<Action>,
}

impl Exchange {
    /// The child is asked to do this.
    pub const fn ask(&mut self, action: Action) {
        self.asked = Some(action);
    }

    /// What the child is asked to do at the moment.
    #[must_use]
    pub const fn asked(&self) -> Option<Action> {
        self.asked
    }

    /// Takes what the child says.
    pub fn hear(&mut self, said: Said) -> Then {
        match said {
            // A line that is nearly a message must not end an exchange: it may be a line of a log.
            Said::Output | Said::NotUnderstood(_) => Then::GoOn,
            Said::Checkpoint(wish) => Then::Store(wish),
            Said::Done(done) if self.asked == Some(done) => {
                self.asked = None;
                Then::Over
            }
            // An answer to another question, or to none, means that the child and the daemon count
            // differently from now on: the next answer might be for records that the child has not
            // processed.
            Said::Done(done) => Then::OutOfStep {
                done,
                asked: self.asked,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Line, Lines};
    use super::*;

    #[test]
    fn a_status_ends_only_the_exchange_that_it_answers() {
        let mut exchange = Exchange::default();
        let out_of_step = |asked| Then::OutOfStep {
            done: Action::Initialize,
            asked,
        };
        assert_eq!(
            exchange.hear(Said::Done(Action::Initialize)),
            out_of_step(None)
        );
        exchange.ask(Action::ProcessRecords);
        assert_eq!(
            exchange.hear(Said::Done(Action::Initialize)),
            out_of_step(Some(Action::ProcessRecords))
        );
        assert_eq!(exchange.hear(Said::Output), Then::GoOn);
        assert_eq!(
            exchange.hear(Said::Done(Action::ProcessRecords)),
            Then::Over
        );
        assert_eq!(exchange.asked(), None);
    }

    /// Pieces of messages, and anything else, so that lines that nearly are messages come about.
    fn anything() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "{\"action\":",
                "\"checkpoint\"",
                "\"status\"",
                ",",
                "}",
                "\n",
                "null",
                "\"responseFor\":",
                "\"processRecords\"",
                "\"sequenceNumber\":",
                "\"subSequenceNumber\":",
                "7",
                "-1",
                "\"7\"",
                "{",
                "[",
                "{\"action\":\"checkpoint\",\"sequenceNumber\":\"7\"}\n",
                "{\"action\":\"status\",\"responseFor\":\"processRecords\"}\n",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..9),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    /// Whether another reader of JSON finds that the line is a checkpoint.
    fn asks_for_checkpoint(line: &[u8]) -> bool {
        let first = serde_json::Deserializer::from_slice(line)
            .into_iter::<serde_json::Map<String, serde_json::Value>>()
            .next();
        matches!(first, Some(Ok(object)) if object.get("action").and_then(|action| action.as_str()) == Some("checkpoint"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn nothing_is_stored_that_was_not_asked_for(bytes in anything(), cut in 0..400_usize) {
            let (mut lines, mut exchange) = (Lines::default(), Exchange::default());
            exchange.ask(Action::ProcessRecords);
            let (one, two) = bytes.split_at(cut.min(bytes.len()));
            let mut wrong = None;
            let mut each = |line: Line<'_>| {
                let then = exchange.hear(Said::read(line));
                if let (Then::Store(_), Line::Whole(text)) = (then, line) && !asks_for_checkpoint(text) {
                    wrong = Some(text.to_vec());
                }
            };
            lines.take(one, &mut each);
            lines.take(two, &mut each);
            lines.finish(&mut each);
            prop_assert_eq!(wrong, None);
        }
    }
}
