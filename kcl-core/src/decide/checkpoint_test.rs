use proptest::prelude::*;

use super::*;
use crate::decide::cases::{run, setting};
use crate::model::SequenceNumber;

fn position(text: &str) -> Position {
    let (sequence, sub) = text.split_once('.').unwrap_or((text, "0"));
    Position::new(sequence.parse().unwrap(), sub.parse().unwrap())
}

fn checkpoint(text: &str) -> Checkpoint {
    match text {
        "AT_TIMESTAMP" => Checkpoint::AtTimestamp,
        "TRIM_HORIZON" => Checkpoint::TrimHorizon,
        "LATEST" => Checkpoint::Latest,
        "SHARD_END" => Checkpoint::ShardEnd,
        at => Checkpoint::At(position(at)),
    }
}

/// What the cases play with: the row, what was delivered, and the prepared checkpoints that the
/// application holds.
struct CheckpointCase {
    stored: Checkpoint,
    pending: Option<Pending>,
    delivered: Option<Position>,
    prepared: Vec<(String, Checkpoint)>,
}

impl CheckpointCase {
    fn judge(&self, wanted: &str) -> Result<Accepted, Refused> {
        accept(&self.stored, self.delivered.as_ref(), &position(wanted))
    }

    fn store(&mut self, accepted: Result<Accepted, Refused>) -> String {
        match accepted {
            Err(refused) => format!("refused, {refused}"),
            Ok(Accepted::AlreadyStored) => "accepted, nothing to write".to_owned(),
            Ok(Accepted::Store(to)) => {
                let line = format!("accepted, stores {to}");
                self.stored = to;
                self.pending = None;
                line
            }
        }
    }

    fn step(&mut self, line: &str) -> Option<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["stored", at] => self.stored = checkpoint(at),
            ["delivered", to] => self.delivered = Some(position(to)),
            ["checkpoint", wanted] => {
                let accepted = self.judge(wanted);
                return Some(self.store(accepted));
            }
            ["prepare", wanted, "as", name, ref state @ ..] => {
                let state = state
                    .first()
                    .map(|state| Bytes::copy_from_slice(setting(state).1.as_bytes()));
                return Some(match self.judge(wanted) {
                    Err(refused) => format!("refused, {refused}"),
                    Ok(accepted) => {
                        let (line, at) = match prepare(&self.stored, accepted, state) {
                            Prepared::AlreadyStored => {
                                ("prepared, nothing to write".to_owned(), self.stored.clone())
                            }
                            Prepared::Store(pending) => {
                                let at = pending.at.clone();
                                let state = pending
                                    .state
                                    .as_deref()
                                    .map(|state| String::from_utf8_lossy(state).into_owned());
                                let line = format!(
                                    "prepared, writes {at} with state {}",
                                    state.as_deref().unwrap_or("none")
                                );
                                self.pending = Some(pending);
                                (line, at)
                            }
                        };
                        self.prepared.push((name.to_owned(), at));
                        line
                    }
                });
            }
            ["commit", name] => {
                let (_, at) = self
                    .prepared
                    .iter()
                    .find(|(known, _)| known == name)
                    .expect("a prepared one")
                    .clone();
                let accepted = commit(
                    &self.stored,
                    self.delivered.as_ref(),
                    self.pending.as_ref(),
                    &at,
                );
                return Some(self.store(accepted));
            }
            _ => panic!("what is `{line}`?"),
        }
        None
    }
}

#[test]
fn checkpoints_are_accepted_as_the_cases_say() {
    run("checkpoint.txt", |given| {
        let mut shard = CheckpointCase {
            stored: Checkpoint::TrimHorizon,
            pending: None,
            delivered: None,
            prepared: Vec::new(),
        };
        given
            .iter()
            .filter_map(|line| shard.step(line))
            .collect::<Vec<_>>()
            .join("\n")
    });
}

fn any_position() -> impl Strategy<Value = Position> {
    (0_u128..6, 0_u64..4)
        .prop_map(|(sequence, sub)| Position::new(SequenceNumber::from_u128(sequence), sub))
}

fn any_checkpoint() -> impl Strategy<Value = Checkpoint> {
    prop_oneof![
        Just(Checkpoint::AtTimestamp),
        Just(Checkpoint::TrimHorizon),
        Just(Checkpoint::Latest),
        Just(Checkpoint::ShardEnd),
        any_position().prop_map(Checkpoint::At),
    ]
}

proptest! {
    #[test]
    fn checkpoints_never_go_back_nor_beyond_what_was_delivered(
        stored in any_checkpoint(), delivered in prop::option::of(any_position()), wanted in any_position(),
    ) {
        if let Ok(Accepted::Store(to)) = accept(&stored, delivered.as_ref(), &wanted) {
            prop_assert!(to > stored);
            prop_assert!(to.position().is_some_and(|to| Some(to) <= delivered.as_ref()));
        }
    }

    #[test]
    fn whatever_is_between_both_is_accepted(
        stored in any_checkpoint(), delivered in any_position(), wanted in any_position(),
    ) {
        let within = !stored.is_shard_end() && Checkpoint::At(wanted.clone()) >= stored && wanted <= delivered;
        let accepted = accept(&stored, Some(&delivered), &wanted).is_ok();
        prop_assert!(accepted || !within);
        prop_assert!(within || !accepted || stored == Checkpoint::At(wanted));
    }

    #[test]
    fn a_commit_never_takes_the_stored_checkpoint_back(
        stored in any_checkpoint(), pending in prop::option::of(any_checkpoint()), prepared in any_checkpoint(),
    ) {
        let pending = pending.map(|at| Pending { at, state: None });
        if let Ok(Accepted::Store(to)) = commit(&stored, None, pending.as_ref(), &prepared) {
            prop_assert!(to >= stored);
            prop_assert_eq!(to, prepared);
        }
    }
}
