use std::sync::LazyLock;

use kcl_core::lease::Write;
use kcl_core::model::{Checkpoint, Lease, LeaseKey, Position, SequenceNumber, Token, WorkerId};

/// One of the two processes.
pub(super) type ProcessId = usize;

/// What the model knows of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Row {
    pub(super) owner: Option<Name>,
    pub(super) checkpoint_owner: Option<Name>,
    pub(super) token: Option<u8>,
    pub(super) counter: u8,
    /// The first so many records are stored as done.
    pub(super) checkpoint: u8,
}

/// The name of a worker. Two processes may have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Name {
    A,
    B,
}

/// A write as a worker makes it of the row that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum WriteKind {
    Take(u8),
    Claim(u8),
    Renew,
    Checkpoint(u8),
    PassOn(Name, Option<u8>),
    Refuse(Name),
    Release(Option<u8>),
    Request(Name),
    Withdraw(Name),
}

struct Texts {
    names: [WorkerId; 2],
    tokens: Vec<Token>,
    key: LeaseKey,
}

static TEXTS: LazyLock<Texts> = LazyLock::new(|| Texts {
    names: ["A".into(), "B".into()],
    tokens: (0..16).map(|number| format!("t{number}").into()).collect(),
    key: LeaseKey::single("shard"),
});

pub(super) fn token(number: u8) -> Token {
    TEXTS.tokens[usize::from(number)].clone()
}

fn checkpoint(records: u8) -> Checkpoint {
    match records {
        0 => Checkpoint::TrimHorizon,
        _ => Checkpoint::At(Position::new(
            SequenceNumber::from_u128(u128::from(records)),
            0,
        )),
    }
}

fn records(of: &Checkpoint) -> u8 {
    let stored = (1..16).find(|records| *of == checkpoint(*records));
    stored.unwrap_or(0)
}

impl Name {
    pub(super) fn id(self) -> WorkerId {
        TEXTS.names[self as usize].clone()
    }

    fn of(id: &WorkerId) -> Self {
        if *id == TEXTS.names[0] {
            Self::A
        } else {
            Self::B
        }
    }
}

impl Row {
    /// The row of a lease that nobody has had yet.
    pub(super) const fn fresh() -> Self {
        Self {
            owner: None,
            checkpoint_owner: None,
            token: None,
            counter: 0,
            checkpoint: 0,
        }
    }

    pub(super) fn lease(self) -> Lease {
        let mut lease = Lease::new(TEXTS.key.clone(), checkpoint(self.checkpoint));
        lease.owner = self.owner.map(Name::id);
        lease.checkpoint_owner = self.checkpoint_owner.map(Name::id);
        lease.token = self.token.map(token);
        lease.counter = u64::from(self.counter);
        lease
    }

    pub(super) fn of(lease: &Lease) -> Self {
        let number = |text: &Token| {
            TEXTS
                .tokens
                .iter()
                .position(|token| token == text)
                .map_or(0, |number| number as u8)
        };
        Self {
            owner: lease.owner.as_ref().map(Name::of),
            checkpoint_owner: lease.checkpoint_owner.as_ref().map(Name::of),
            token: lease.token.as_ref().map(number),
            counter: u8::try_from(lease.counter).unwrap_or(u8::MAX),
            checkpoint: records(&lease.checkpoint),
        }
    }
}

impl WriteKind {
    /// The write of the protocol, made by `me` of this row.
    pub(super) fn write(self, from: &Lease, me: Name) -> Write {
        match self {
            Self::Take(new) => Write::take(from, me.id(), token(new)),
            Self::Claim(new) => Write::claim(from, me.id(), token(new)),
            Self::Renew => Write::renew(from),
            Self::Checkpoint(records) => Write::checkpoint(from, checkpoint(records)),
            Self::PassOn(to, last) => Write::pass_on(from, me.id(), to.id(), last.map(checkpoint)),
            Self::Refuse(asked) => Write::refuse(from, me.id(), asked.id()),
            Self::Release(last) => Write::release(from, last.map(checkpoint)),
            Self::Request(of) => Write::request(from, me.id(), of.id()),
            Self::Withdraw(of) => Write::withdraw(from, me.id(), of.id()),
        }
    }
}
