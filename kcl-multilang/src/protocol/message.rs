use super::json::{number_or_null, string, string_or_null};
use super::{Action, CheckpointWish};

/// A message to a child, except for records: see [`BatchMessage`](super::BatchMessage).
///
/// Each is one JSON object on one line. No value in it is an object, because one of the libraries
/// takes every object for a message; nothing is written between two messages, because the same one
/// takes an empty line for the end.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// The first one: which shard, and how far it has been processed.
    Initialize {
        /// The id of the shard.
        shard: &'a str,
        /// The sequence number of the stored checkpoint, or its sentinel, such as `TRIM_HORIZON`.
        sequence: &'a str,
        /// Its sub-sequence number.
        sub_sequence: u64,
    },
    /// See [`Action::LeaseLost`].
    LeaseLost,
    /// See [`Action::ShardEnded`].
    ShardEnded,
    /// See [`Action::ShutdownRequested`].
    ShutdownRequested,
    /// The answer to a checkpoint that the child has asked for.
    Checkpoint {
        /// What it has asked for, which is repeated.
        wish: &'a CheckpointWish,
        /// Why it was not stored: the name of an exception of the Java KCL, which the libraries and
        /// their users compare with. `None` if it was stored.
        error: Option<&'a str>,
    },
}

impl Message<'_> {
    /// What the child is asked to do; `None` for an answer.
    #[must_use]
    pub const fn action(&self) -> Option<Action> {
        match self {
            Self::Initialize { .. } => Some(Action::Initialize),
            Self::LeaseLost => Some(Action::LeaseLost),
            Self::ShardEnded => Some(Action::ShardEnded),
            Self::ShutdownRequested => Some(Action::ShutdownRequested),
            Self::Checkpoint { .. } => None,
        }
    }

    /// Appends the message, with the newline that ends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let name = self.action().map_or("checkpoint", Action::name);
        out.extend_from_slice(b"{\"action\":");
        string(out, name);
        match self {
            Self::Initialize {
                shard,
                sequence,
                sub_sequence,
            } => {
                out.extend_from_slice(b",\"shardId\":");
                string(out, shard);
                out.extend_from_slice(b",\"sequenceNumber\":");
                string(out, sequence);
                out.extend_from_slice(b",\"subSequenceNumber\":");
                number_or_null(out, Some(*sub_sequence));
            }
            Self::Checkpoint { wish, error } => {
                out.extend_from_slice(b",\"sequenceNumber\":");
                string_or_null(out, wish.sequence.as_deref());
                out.extend_from_slice(b",\"subSequenceNumber\":");
                number_or_null(out, wish.sub_sequence);
                out.extend_from_slice(b",\"error\":");
                string_or_null(out, *error);
            }
            Self::LeaseLost | Self::ShardEnded | Self::ShutdownRequested => {}
        }
        out.extend_from_slice(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(message: &Message<'_>) -> String {
        let mut out = Vec::new();
        message.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// What the `MultiLangDaemon` 3.5.1 writes, byte for byte.
    #[test]
    fn the_messages_are_those_of_the_java_daemon() {
        let initialize = Message::Initialize {
            shard: "shardId-000000000000",
            sequence: "TRIM_HORIZON",
            sub_sequence: 0,
        };
        assert_eq!(
            written(&initialize),
            "{\"action\":\"initialize\",\"shardId\":\"shardId-000000000000\",\"sequenceNumber\":\"TRIM_HORIZON\",\
             \"subSequenceNumber\":0}\n"
        );
        let wish = CheckpointWish {
            sequence: Some("42".to_owned()),
            sub_sequence: Some(3),
        };
        let refused = Message::Checkpoint {
            wish: &wish,
            error: Some("ThrottlingException"),
        };
        assert_eq!(
            written(&refused),
            "{\"action\":\"checkpoint\",\"sequenceNumber\":\"42\",\"subSequenceNumber\":3,\"error\":\"ThrottlingException\"}\n"
        );
        let stored = Message::Checkpoint {
            wish: &CheckpointWish::default(),
            error: None,
        };
        assert_eq!(
            written(&stored),
            "{\"action\":\"checkpoint\",\"sequenceNumber\":null,\"subSequenceNumber\":null,\"error\":null}\n"
        );
        assert_eq!(written(&Message::LeaseLost), "{\"action\":\"leaseLost\"}\n");
        assert_eq!(
            written(&Message::ShardEnded),
            "{\"action\":\"shardEnded\"}\n"
        );
        assert_eq!(
            written(&Message::ShutdownRequested),
            "{\"action\":\"shutdownRequested\"}\n"
        );
    }
}
