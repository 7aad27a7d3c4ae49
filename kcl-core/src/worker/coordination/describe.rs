//! What the streams are, and whether the rows of the table are theirs.

use std::sync::Arc;
use std::time::Duration;

use crate::decide::backoff::Backoff;
use crate::lease::{Consistency, with_causes};
use crate::model::Lease;
use crate::runtime::pause;
use crate::stream::{self, ErrorKind, StreamDescription};
use crate::worker::error::RunError;
use crate::worker::event::Event;
use crate::worker::streams::ReadStream;

use super::context::Context;
use super::error::CoordinationError;

/// A stream that could not be described is asked again after 1 s, and then less and less often.
const AGAIN: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// One that is not there yet is asked again after 1, 2 and 4 s, and then every 4 s: it takes the
/// service half a minute to make one.
const NOT_YET: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(4));
/// What a stream is is asked no more often, whoever asks: the service answers 20
/// `DescribeStreamSummary` a second and account.
const DESCRIBED_EVERY: Duration = Duration::from_secs(1);

impl Context {
    /// Reads what the stream is, unless that is known.
    pub(super) async fn describe(
        &self,
        of: &Arc<ReadStream>,
    ) -> Result<Arc<StreamDescription>, CoordinationError> {
        match of.description() {
            Some(description) => Ok(description),
            None => self.describe_anew(of).await,
        }
    }

    /// Reads what the stream is now: how long it keeps records may have been changed, and it may
    /// have been deleted and made again. One that was is read from now on in the place of the old
    /// one, whose leases are left; it is the end of a worker of one stream.
    pub(super) async fn describe_anew(
        &self,
        of: &Arc<ReadStream>,
    ) -> Result<Arc<StreamDescription>, CoordinationError> {
        // Shared by all who ask at the same time: after a reshard each lease of the stream may have
        // a reason to.
        let found = of.facts.ask(&**self.clock(), DESCRIBED_EVERY, async {
            let source = of.reader(&self.inner).await?;
            Ok(self
                .stream_call("DescribeStreamSummary", source.describe())
                .await?)
        });
        let found = match found.await {
            Ok(found) => {
                of.described(None, self.clock().now());
                (*found).clone()
            }
            Err(trouble) => {
                of.described(Some(with_causes(&*trouble).into()), self.clock().now());
                return Err(CoordinationError::again(&trouble));
            }
        };
        // A source that was given for another stream would read that one's records under this one's
        // leases.
        check_source(of, &found)?;
        // The same stream as before: its retention may have changed. Another one of its name has
        // another creation time.
        let found = match of.learn(found) {
            Ok(description) => return Ok(description),
            Err(found) => found,
        };
        let arn = Arc::clone(&found.arn);
        if !of.is_one_of_several() {
            return Err(CoordinationError::Fatal(RunError::StreamReplaced {
                stream: arn,
            }));
        }
        // Only for the first who notices: others have the new stream already.
        if self.inner.parts.streams.replace(of, found) {
            self.inner.outlet.say(Event::StreamReplaced {
                stream: of.name.clone(),
            });
        }
        Err(stream::Error::new(
            ErrorKind::Gone,
            "DescribeStreamSummary",
            format!("{arn} was deleted and created again"),
        )
        .into())
    }

    /// The streams of which nobody knows yet what they are.
    pub(super) fn undescribed(&self) -> impl Iterator<Item = Arc<ReadStream>> {
        self.inner
            .parts
            .streams
            .all()
            .into_iter()
            .filter(|of| of.description().is_none())
    }

    /// Asks what these are, again and again, until one of them says so or none is left. Ends when
    /// the worker stops.
    pub(super) async fn describe_rest(&self) {
        let mut not_yet = true;
        for tries in 0.. {
            let backoff = if not_yet { NOT_YET } else { AGAIN };
            tokio::select! {
                biased;
                () = self.drain() => return,
                () = pause(&**self.clock(), backoff.longest(tries)) => {}
            }
            let mut left = false;
            not_yet = false;
            for of in self.undescribed() {
                left = true;
                match self.describe(&of).await {
                    Ok(_) => return,
                    Err(trouble) => {
                        not_yet |= trouble.is_not_yet();
                        tracing::debug!(stream = %of.name, trouble = %with_causes(&trouble), "the stream could not be described");
                    }
                }
            }
            if !left {
                return;
            }
        }
    }

    /// Whether the rows of the table belong to the stream that is read. Nothing is written before
    /// that is known.
    pub(super) async fn check_rows(&self) -> Result<(), CoordinationError> {
        // All streams first, and then one read of the table for all of them.
        let mut described = Vec::new();
        for of in self.inner.parts.streams.all() {
            match self.describe(&of).await {
                Ok(description) => described.push((Arc::clone(&of), description)),
                Err(CoordinationError::Fatal(cause)) => {
                    return Err(CoordinationError::Fatal(cause));
                }
                Err(trouble) => self.unless_other_streams(&of, trouble)?,
            }
        }
        // Whole: what shows that the application was run in another way are rows that this worker
        // does not know.
        let rows = self.whole_table(Consistency::Strong).await?.leases;
        for (of, description) in described {
            check_stream(&rows, &of, &description)?;
            let of_nobody_else = |row: &Lease| of.is_one_of_several() && names_no_stream(row);
            let other = rows
                .iter()
                .find(|row| of_nobody_else(row) || is_of_other_mode(row, &of, &description));
            if let Some(row) = other {
                return Err(CoordinationError::Fatal(other_mode(row, &of, &description)));
            }
        }
        Ok(())
    }

    /// One stream of several that cannot be read is no reason to stop reading the others.
    pub(super) fn unless_other_streams(
        &self,
        of: &ReadStream,
        trouble: CoordinationError,
    ) -> Result<(), CoordinationError> {
        // A failing table concerns every stream, and so does a cause that ends the worker.
        let is_whole_worker = match &trouble {
            // A stream that was added wrongly to a worker that runs.
            CoordinationError::Fatal(RunError::WrongSource { .. }) => false,
            trouble => matches!(
                trouble,
                CoordinationError::Table(_) | CoordinationError::Fatal(_)
            ),
        };
        if !of.is_one_of_several() || is_whole_worker {
            return Err(trouble);
        }
        let (stream, error) = (Some(of.name.clone()), with_causes(&trouble).into());
        self.inner.outlet.say(Event::StepFailed {
            what: "to compare the shards of a stream with the leases",
            stream,
            error,
        });
        Ok(())
    }
}

/// The source must read the stream that it was given for.
fn check_source(of: &ReadStream, stream: &StreamDescription) -> Result<(), CoordinationError> {
    // By ARN if the application gave one. By name otherwise; a source that does not know its name
    // is believed.
    let is_wanted = match of.name.arn() {
        Some(arn) => *arn == *stream.arn,
        None => stream.name().is_none_or(|name| name == of.name.name()),
    };
    if is_wanted {
        return Ok(());
    }
    Err(CoordinationError::Fatal(RunError::WrongSource {
        wanted: of.name.clone(),
        found: Arc::clone(&stream.arn),
    }))
}

/// The rows must belong to the stream that is read, and to that one, not to a former one of its
/// name.
pub(super) fn check_stream(
    rows: &[Lease],
    of: &ReadStream,
    stream: &StreamDescription,
) -> Result<(), CoordinationError> {
    for row in rows.iter().filter(|row| of.has(&row.key)) {
        if let Some(found) = row
            .facts
            .stream_arn
            .as_ref()
            .filter(|found| **found != stream.arn)
        {
            let (found, wanted) = (Arc::clone(found), Arc::clone(&stream.arn));
            return Err(CoordinationError::Fatal(RunError::OtherStream {
                found,
                wanted,
            }));
        }
        if row
            .facts
            .stream_created_at
            .is_some_and(|created| created != stream.created_at)
        {
            return Err(CoordinationError::Fatal(RunError::StreamReplaced {
                stream: Arc::clone(&stream.arn),
            }));
        }
    }
    Ok(())
}

/// Whether the row is one of this stream, made by a worker that reads it in the other way: as the
/// only one, or as one of several. What it says of a former stream of that name is of no use to
/// anybody.
fn is_of_other_mode(row: &Lease, of: &ReadStream, stream: &StreamDescription) -> bool {
    if row.key.stream.is_some() == of.is_one_of_several()
        || row
            .facts
            .stream_created_at
            .is_some_and(|created| created != stream.created_at)
    {
        return false;
    }
    // The ARN is the safer sign. Rows of a KCL have none, but those of several streams name them in
    // the key.
    match (&row.facts.stream_arn, &row.key.stream) {
        (Some(arn), _) => *arn == stream.arn,
        (None, Some(identity)) => **identity == *stream.identity(),
        (None, None) => false,
    }
}

/// Whether the row was made by a KCL that reads one stream: it keeps nowhere which.
fn names_no_stream(row: &Lease) -> bool {
    row.key.stream.is_none() && row.facts.stream_arn.is_none()
}

/// The error that names the stream and the row that shows it.
fn other_mode(row: &Lease, of: &ReadStream, stream: &StreamDescription) -> RunError {
    RunError::OtherMode {
        stream: Arc::clone(&stream.arn),
        lease: row.key.clone(),
        is_one_of_several: of.is_one_of_several(),
    }
}

/// No worker may have begun to read the stream in the other way meanwhile. Where it was added to
/// others, and nothing was read of it, it is left alone: the others are read on.
pub(super) fn check_mode(
    rows: &[Lease],
    of: &ReadStream,
    stream: &StreamDescription,
) -> Result<(), CoordinationError> {
    let Some(row) = rows.iter().find(|row| is_of_other_mode(row, of, stream)) else {
        return Ok(());
    };
    let error = other_mode(row, of, stream);
    if of.is_one_of_several() && !rows.iter().any(|row| of.has(&row.key)) {
        return Err(stream::Error::new(
            ErrorKind::Denied,
            "to compare its leases",
            error.to_string(),
        )
        .into());
    }
    Err(CoordinationError::Fatal(error))
}
