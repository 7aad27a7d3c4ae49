//! Conversion between a row of `leases` and a lease.
//!
//! | value | column type | why |
//! |---|---|---|
//! | sequence and sub-sequence numbers | TEXT | they have up to 129 digits, and 64 bits without a sign |
//! | counters, times | INTEGER | 63 bits are enough, and SQL adds to them |
//! | hash keys | TEXT | 128 bits |
//! | parents, children | TEXT, separated by spaces | they are read and written as a whole |
//! | no stream | an empty text, not NULL | it is part of the primary key |

use bytes::Bytes;
use kcl_core::lease::{Error, MalformedRow, RowKey};
use kcl_core::model::{
    Assignee, Checkpoint, Facts, HashKeyRange, InvalidValue, Lease, LeaseKey, Pending, Position,
    ShardId, Throughput, Timestamp, Token, WorkerId,
};
use rusqlite::Row;
use rusqlite::types::{FromSql, Type, Value};

/// The columns of a lease. Every statement names them, so that the columns of a newer schema are
/// left alone.
pub(super) const COLUMNS: &str = "stream, shard, lease_owner, checkpoint_owner, token, lease_counter, \
     owner_switches_since_checkpoint, checkpoint, checkpoint_sub_sequence_number, pending_checkpoint, \
     pending_checkpoint_sub_sequence_number, pending_checkpoint_state, parent_shard_ids, child_shard_ids, starting_hash_key, \
     ending_hash_key, start_at, began_at, stream_arn, stream_created_at, paused_at, bytes_per_second, \
     records_per_second, assigned_to";

/// The values of those columns, in the same order.
///
/// # Errors
/// A value that the columns cannot hold: a key with an empty stream, a counter of 2^63 or more, or
/// a shard whose name contains a space.
pub(super) fn values(lease: &Lease) -> Result<Vec<Value>, Error> {
    let (stream, shard) = key(&lease.key)?;
    let [checkpoint, sub_sequence] = checkpoint(&lease.checkpoint);
    let [pending, pending_sub_sequence, pending_state] = pending_values(lease.pending.as_ref());
    let [hash_start, hash_end] = hash_range(lease.hash_range.as_ref());
    let [start_at, began_at, stream_arn, stream_created_at] = facts(&lease.facts);
    let [bytes, records] = throughput(lease.throughput);
    Ok(vec![
        stream,
        shard,
        optional(lease.owner.as_ref().map(WorkerId::as_str)),
        optional(lease.checkpoint_owner.as_ref().map(WorkerId::as_str)),
        optional(lease.token.as_ref().map(Token::as_str)),
        counter("lease counter", lease.counter)?,
        counter("count of owner switches", lease.owner_switches)?,
        checkpoint,
        sub_sequence,
        pending,
        pending_sub_sequence,
        pending_state,
        shards(&lease.parents)?,
        shards(&lease.children)?,
        hash_start,
        hash_end,
        start_at,
        began_at,
        stream_arn,
        stream_created_at,
        time(lease.paused_at),
        bytes,
        records,
        assignee(lease.assigned_to.as_ref()),
    ])
}

/// The error for a value that cannot be stored. It is fatal: the same value will not fit later.
fn refused(message: String) -> Error {
    Error::Fatal {
        message,
        source: None,
    }
}

/// `stream` and `shard`.
///
/// # Errors
/// A stream with an empty name, which would be read back as no stream.
pub(super) fn key(key: &LeaseKey) -> Result<(Value, Value), Error> {
    let stream = match &key.stream {
        // In the table, an empty text means that there is no stream.
        Some(stream) if stream.is_empty() => {
            return Err(refused(format!(
                "the lease key of `{}` has an empty stream: expected no stream or a non-empty name",
                key.shard
            )));
        }
        Some(stream) => stream.as_ref(),
        None => "",
    };
    Ok((text(stream), text(key.shard.as_str())))
}

/// A text column.
pub(super) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

/// A text column that may be NULL.
pub(super) fn optional(value: Option<&str>) -> Value {
    value.map_or(Value::Null, text)
}

/// A counter as SQLite's signed integer.
///
/// # Errors
/// A value above 2^63 - 1. A counter grows by one per heartbeat and never gets there.
pub(super) fn counter(what: &str, value: u64) -> Result<Value, Error> {
    i64::try_from(value)
        .map(Value::Integer)
        .map_err(|_| refused(format!("the {what} is {value}: expected 0 to {}", i64::MAX)))
}

/// A checkpoint and its sub-sequence number. A sentinel is its name, with 0 beside it.
pub(super) fn checkpoint(checkpoint: &Checkpoint) -> [Value; 2] {
    match checkpoint.position() {
        Some(position) => [
            Value::Text(position.sequence.to_string()),
            Value::Text(position.sub_sequence.to_string()),
        ],
        None => [Value::Text(checkpoint.to_string()), text("0")],
    }
}

/// The prepared checkpoint: checkpoint, sub-sequence number and state.
pub(super) fn pending_values(pending: Option<&Pending>) -> [Value; 3] {
    let Some(pending) = pending else {
        return [Value::Null, Value::Null, Value::Null];
    };
    let [at, sub_sequence] = checkpoint(&pending.at);
    [
        at,
        sub_sequence,
        pending
            .state
            .as_ref()
            .map_or(Value::Null, |state| Value::Blob(state.to_vec())),
    ]
}

/// Shard ids, separated by spaces, which ids never contain (the service's pattern is
/// `[a-zA-Z0-9_.-]+`).
///
/// # Errors
/// An empty id, or one that contains a space: it would be read back as two.
pub(super) fn shards(shards: &[ShardId]) -> Result<Value, Error> {
    let names: Vec<&str> = shards.iter().map(ShardId::as_str).collect();
    match names
        .iter()
        .find(|name| name.is_empty() || name.contains(' '))
    {
        Some(name) => Err(refused(format!(
            "invalid shard name `{name}`: expected text without spaces"
        ))),
        None => Ok(Value::Text(names.join(" "))),
    }
}

/// The lowest and the highest hash key.
///
/// Both are set, or neither: half a range is malformed.
pub(super) fn hash_range(range: Option<&HashKeyRange>) -> [Value; 2] {
    range.map_or([Value::Null, Value::Null], |range| {
        [
            Value::Text(range.start().to_string()),
            Value::Text(range.end().to_string()),
        ]
    })
}

/// The worker that the lease is assigned to.
pub(super) fn assignee(to: Option<&Assignee>) -> Value {
    to.map_or(Value::Null, |to| Value::Text(to.to_string()))
}

pub(super) fn time(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |time| Value::Integer(time.as_millis()))
}

/// What the shard carries: the bytes and the records.
///
/// A rate that no column can hold is nonsense, and the greatest that one can is as good.
pub(super) fn throughput(throughput: Option<Throughput>) -> [Value; 2] {
    let rate = |rate: u64| Value::Integer(i64::try_from(rate).unwrap_or(i64::MAX));
    throughput.map_or([Value::Null, Value::Null], |throughput| {
        [rate(throughput.bytes), rate(throughput.records)]
    })
}

/// The time to open the shard at, the time at which the lease began, the stream's ARN and its
/// creation time.
///
/// All four are written together, because they describe one stream and one beginning.
pub(super) fn facts(facts: &Facts) -> [Value; 4] {
    [
        time(facts.start_at),
        time(facts.began_at),
        optional(facts.stream_arn.as_deref()),
        time(facts.stream_created_at),
    ]
}

/// Reads the lease from a row with [`COLUMNS`].
///
/// # Errors
/// A malformed row, as a conversion failure of SQLite (see [`malformed`](super::error::malformed)).
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Lease> {
    let key = read_key(row)?;
    let reader = Reader {
        row,
        of: RowKey::Lease(key.clone()),
    };

    let pending = match reader.get::<Option<String>>("pending_checkpoint")? {
        None => None,
        Some(at) => Some(Pending {
            at: reader.checkpoint(
                "pending_checkpoint",
                "pending_checkpoint_sub_sequence_number",
                &at,
            )?,
            state: reader
                .get::<Option<Vec<u8>>>("pending_checkpoint_state")?
                .map(Bytes::from),
        }),
    };
    let hash_range = match (
        reader.get::<Option<String>>("starting_hash_key")?,
        reader.get::<Option<String>>("ending_hash_key")?,
    ) {
        (None, None) => None,
        (start, end) => {
            let (start, end) = (start.unwrap_or_default(), end.unwrap_or_default());
            let allowed = "a range of two decimal numbers below 2^128 with `ending_hash_key`";
            let broken =
                |_| reader.broken("starting_hash_key", &format!("{start} .. {end}"), allowed);
            Some(HashKeyRange::parse(&start, &end).map_err(broken)?)
        }
    };
    let checkpoint: String = reader.get("checkpoint")?;
    let mut lease = Lease::new(
        key,
        reader.checkpoint("checkpoint", "checkpoint_sub_sequence_number", &checkpoint)?,
    );
    lease.owner = reader
        .get::<Option<String>>("lease_owner")?
        .map(WorkerId::from);
    lease.checkpoint_owner = reader
        .get::<Option<String>>("checkpoint_owner")?
        .map(WorkerId::from);
    lease.token = reader.get::<Option<String>>("token")?.map(Token::from);
    lease.counter = reader.counter("lease_counter")?;
    lease.owner_switches = reader.counter("owner_switches_since_checkpoint")?;
    lease.pending = pending;
    lease.parents = reader.shards("parent_shard_ids")?;
    lease.children = reader.shards("child_shard_ids")?;
    lease.hash_range = hash_range;
    lease.paused_at = reader
        .get::<Option<i64>>("paused_at")?
        .map(Timestamp::from_millis);
    lease.throughput = reader.throughput()?;
    // A text that is none says nothing, and is no reason to leave a shard unread.
    lease.assigned_to = reader
        .get::<Option<String>>("assigned_to")?
        .and_then(|to| Assignee::parse(&to));
    lease.facts.start_at = reader
        .get::<Option<i64>>("start_at")?
        .map(Timestamp::from_millis);
    lease.facts.began_at = reader
        .get::<Option<i64>>("began_at")?
        .map(Timestamp::from_millis);
    lease.facts.stream_arn = reader.get::<Option<String>>("stream_arn")?.map(Into::into);
    lease.facts.stream_created_at = reader
        .get::<Option<i64>>("stream_created_at")?
        .map(Timestamp::from_millis);
    Ok(lease)
}

/// Reads the key from a row with [`COLUMNS`]. A name that is not valid text is read lossily.
pub(super) fn read_key(row: &Row<'_>) -> rusqlite::Result<LeaseKey> {
    let (stream, shard) = (text_of(row, "stream")?, text_of(row, "shard")?);
    Ok(LeaseKey {
        stream: (!stream.is_empty()).then(|| stream.into()),
        shard: shard.into(),
    })
}

/// Text that names a row. Bytes that are not text are replaced, because an error message must be
/// able to name the row that they spoil.
pub(super) fn text_of(row: &Row<'_>, column: &str) -> rusqlite::Result<String> {
    let bytes = row.get_ref(column)?.as_bytes().unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// Reads columns; its errors name the row of a malformed one.
///
/// It knows the row before it reads it, so that an error in any column names the row.
pub(super) struct Reader<'a> {
    pub(super) row: &'a Row<'a>,
    /// The row, for its errors.
    pub(super) of: RowKey,
}

impl Reader<'_> {
    /// The value of a column, or the malformed row if it is of another type. The tables are STRICT,
    /// but a file can be edited by programs that are not.
    pub(super) fn get<T: FromSql>(&self, column: &'static str) -> rusqlite::Result<T> {
        self.row.get(column).map_err(|error| match error {
            rusqlite::Error::FromSqlConversionFailure(..) => {
                self.broken(column, "bytes that are not text", "text in UTF-8")
            }
            rusqlite::Error::InvalidColumnType(_, _, found) => self.broken(
                column,
                &format!("a value of type {found}"),
                "a value of the column's type",
            ),
            other => other,
        })
    }

    /// The malformed row in the form of an error of SQLite.
    pub(super) fn broken(
        &self,
        column: &'static str,
        found: &str,
        allowed: &'static str,
    ) -> rusqlite::Error {
        let index = self.row.as_ref().column_index(column).unwrap_or_default();
        let broken = MalformedRow::new(self.of.clone(), column, Some(found), allowed);
        rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(broken))
    }

    /// A counter; a negative one was edited.
    pub(super) fn counter(&self, column: &'static str) -> rusqlite::Result<u64> {
        let value: i64 = self.get(column)?;
        u64::try_from(value)
            .map_err(|_| self.broken(column, &value.to_string(), "a whole number from 0"))
    }

    /// What the shard carries. Unknown if a part is missing or negative: it decides nothing but
    /// where the lease belongs, and is no reason to leave a shard unread.
    fn throughput(&self) -> rusqlite::Result<Option<Throughput>> {
        let rate = |column| {
            let rate = self.get::<Option<i64>>(column)?;
            Ok::<_, rusqlite::Error>(rate.and_then(|rate| u64::try_from(rate).ok()))
        };
        let (bytes, records) = (rate("bytes_per_second")?, rate("records_per_second")?);
        Ok(bytes
            .zip(records)
            .map(|(bytes, records)| Throughput { bytes, records }))
    }

    /// Shard ids from a text with spaces between them.
    fn shards(&self, column: &'static str) -> rusqlite::Result<Vec<ShardId>> {
        Ok(self
            .get::<String>(column)?
            .split_ascii_whitespace()
            .map(ShardId::from)
            .collect())
    }

    /// A checkpoint from two columns. A number that cannot be parsed is an error and never a
    /// default: a checkpoint that is guessed skips records or delivers them twice.
    fn checkpoint(
        &self,
        column: &'static str,
        sub_column: &'static str,
        value: &str,
    ) -> rusqlite::Result<Checkpoint> {
        let sentinels = [
            Checkpoint::AtTimestamp,
            Checkpoint::TrimHorizon,
            Checkpoint::Latest,
            Checkpoint::ShardEnd,
        ];
        if let Some(sentinel) = sentinels
            .into_iter()
            .find(|sentinel| sentinel.to_string() == value)
        {
            return Ok(sentinel);
        }
        let allowed = "a decimal number, TRIM_HORIZON, LATEST, AT_TIMESTAMP or SHARD_END";
        let sequence = value
            .parse()
            .map_err(|_: InvalidValue| self.broken(column, value, allowed))?;
        let sub_sequence = self.get::<Option<String>>(sub_column)?.unwrap_or_default();
        let sub_sequence = sub_sequence
            .parse()
            .map_err(|_| self.broken(sub_column, &sub_sequence, "a decimal number below 2^64"))?;
        Ok(Position::new(sequence, sub_sequence).into())
    }
}
