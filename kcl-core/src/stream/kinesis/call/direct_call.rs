use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::OnceCell;
use tracing::{info, warn};

use crate::runtime::within;
use crate::stream::{Cursor, Error, ErrorKind, Page};

use super::super::KinesisStream;
use super::super::classify::{CallFailure, KinesisOperation, is_named};
use super::super::failure::{failed, malformed};
use super::super::http::{ConnectionFailure, Http1Answer, Http1Client, NoAnswer};
use super::super::page_pool::PagePool;
use super::super::wire::{
    Form, NextMember, Unreadable, WirePage, WireRefusal, get_records, page_of, refusal_of,
};
use super::cbor_use::CborUse;
use super::signer::Signer;

const OPERATION: KinesisOperation = KinesisOperation::GetRecords;

/// `GetRecords` by calls of our own. The [module](super) says how.
pub(in crate::stream::kinesis) struct DirectCall {
    /// The connections, and the buffers that answers are received into.
    http: Http1Client,
    /// Found out by the first call; nothing when the SDK has to make the calls. A failure is not
    /// kept: a process that starts before its credentials are there asks again with the next call.
    signer: OnceCell<Option<Signer>>,
    /// In which form pages are asked for.
    cbor: CborUse,
    /// Whether the SDK has to be asked as well. It is settled once for the process, whichever shard
    /// learns it first:
    ///
    /// ```text
    ///                a page by a call of ours  -->  TRUSTED: an error is the service's word
    ///   UNTRIED  ---<
    ///                a page by the SDK after   -->  LEFT: no call of ours is made any more
    ///                a refusal of ours
    /// ```
    standing: AtomicU8,
}

/// No page has come yet.
const UNTRIED: u8 = 0;
/// A page has come.
const TRUSTED: u8 = 1;
/// The SDK got a page where this was refused.
const LEFT: u8 = 2;

/// What became of a call.
enum PageOutcome {
    /// A page, in this form.
    Page(WirePage, Form),
    /// The service, or something on the way, refused the call.
    Refused {
        status: u16,
        refusal: WireRefusal,
        request_id: Option<String>,
    },
    /// The status says that the call was granted, and the body is not a page.
    Unreadable(Unreadable),
    /// Nothing came, or not all of it.
    NotAnswered(ConnectionFailure),
    /// There were no credentials, or none that could be had in time. Nothing was sent.
    NotSigned(crate::BoxError),
}

impl DirectCall {
    /// Makes no call. `wants_cbor` is what the environment says: see [`CborUse`].
    pub(in crate::stream::kinesis) fn new(http: Http1Client, wants_cbor: bool) -> Self {
        Self {
            http,
            signer: OnceCell::new(),
            cbor: CborUse::new(wants_cbor),
            standing: AtomicU8::new(UNTRIED),
        }
    }

    /// The same with other connections, which has made no call yet.
    pub(in crate::stream::kinesis) fn over(&self, http: Http1Client) -> Self {
        Self::new(http, self.cbor.form() == Form::Cbor)
    }

    /// The same in JSON alone, which has made no call yet.
    pub(in crate::stream::kinesis) fn in_json(&self) -> Self {
        Self::new(self.http.clone(), false)
    }

    /// Whether pages come in CBOR, as far as is known.
    pub(in crate::stream::kinesis) fn has_cbor(&self) -> bool {
        self.cbor.is_proven()
    }

    /// The buffers that pages are received into.
    pub(in crate::stream::kinesis) fn pages(&self) -> &PagePool {
        self.http.pages()
    }

    /// A page; nothing when the SDK has to make the call, as it would do more than is done here.
    ///
    /// Cancel safe: a read changes nothing at the service, so whoever asks again at the same place
    /// gets the same records. A call that is dropped half way costs its connection, and one of the
    /// five calls a second that the shard allows.
    pub(in crate::stream::kinesis) async fn read(
        &self,
        stream: &KinesisStream,
        cursor: &Cursor,
        limit: u32,
    ) -> Result<Option<Page>, Error> {
        if self.standing.load(Ordering::Relaxed) == LEFT {
            return Ok(None);
        }
        let finding = self.signer.get_or_try_init(|| Signer::find(stream));
        let Some(signer) = finding.await? else {
            return Ok(None);
        };
        // One limit for all that a page may take: signing, connecting, and the second call in JSON.
        // With a limit for each, a reader could wait twice as long as for a call of the SDK.
        let asking = self.ask_as_understood(stream, signer, cursor, limit);
        let outcome = within(&*stream.clock, stream.call_limit, asking).await;
        let outcome = outcome.unwrap_or_else(|| {
            let limit = stream.call_limit;
            PageOutcome::NotAnswered(ConnectionFailure::late(format_args!(
                "no answer within {limit:?}"
            )))
        });
        let page = page(outcome, cursor)?;
        // Only a page counts. An error that is named may be due to what a call of ours lacks.
        self.stand(TRUSTED);
        Ok(Some(page))
    }

    /// Whether the SDK is to make the same call, as it may not fail so: no page has come by a call
    /// of ours yet, which may lack what this endpoint wants, or may not read what it answers.
    pub(in crate::stream::kinesis) fn is_doubtful(&self, error: &Error) -> bool {
        let is_unreadable = error
            .source
            .as_ref()
            .is_some_and(|source| source.is::<Unreadable>());
        self.standing.load(Ordering::Relaxed) == UNTRIED
            && (is_unreadable || matches!(error.kind, ErrorKind::Fatal | ErrorKind::Denied))
    }

    /// The SDK has got a page where a call of ours failed: it makes the calls from now on.
    pub(in crate::stream::kinesis) fn leave_to_the_sdk(&self, error: &Error) {
        if self.stand(LEFT) {
            warn!(
                %error,
                "the AWS SDK got a page where a call without it failed: it makes the calls from \
                 now on"
            );
        }
    }

    /// Settles whether calls of our own are good enough, if that is still open. A page that comes
    /// while another shard is leaving to the SDK changes nothing any more.
    fn stand(&self, standing: u8) -> bool {
        let from =
            self.standing
                .compare_exchange(UNTRIED, standing, Ordering::Relaxed, Ordering::Relaxed);
        from.is_ok()
    }

    /// Asks in CBOR if that may be understood, and in JSON if it was not.
    async fn ask_as_understood(
        &self,
        stream: &KinesisStream,
        signer: &Signer,
        cursor: &Cursor,
        limit: u32,
    ) -> PageOutcome {
        let form = self.cbor.form();
        let first = self.ask(stream, signer, form, cursor, limit).await;
        // In JSON there is nothing else to try. Both calls are within the time limit of one.
        if form == Form::Json || first.is_last_word(self.cbor.is_proven()) {
            if let PageOutcome::Page(_, Form::Cbor) = &first {
                self.cbor.prove();
            }
            return first;
        }
        // It counts against the shard's five calls a second as well, so it is made only where the
        // first answer may be due to its form.
        let second = self.ask(stream, signer, Form::Json, cursor, limit).await;
        if second.is_last_word(false) && second.is_answer() && self.cbor.give_up() {
            info!(
                endpoint = %signer.origin(),
                "the endpoint does not answer GetRecords in CBOR: it is asked in JSON from now on"
            );
        }
        second
    }

    /// Makes one call in this form. Each call is signed anew: a signature holds the time and the
    /// body.
    async fn ask(
        &self,
        stream: &KinesisStream,
        signer: &Signer,
        form: Form,
        cursor: &Cursor,
        limit: u32,
    ) -> PageOutcome {
        let body = get_records(form, cursor.as_str(), limit, stream.stream.arn());
        let request = match signer.request(form, &body).await {
            Ok(request) => request,
            Err(error) => return PageOutcome::NotSigned(error),
        };
        let sent_at = signer.now();
        let connect_limit = stream.connect_limit;
        let answer = self.http.exchange(signer.origin(), &request, connect_limit);
        match answer.await {
            Ok(answer) => {
                // Also from a refusal: it is how a clock that is wrong is noticed, and the next
                // call is signed by the service's time.
                signer.learn(sent_at, &answer.head);
                PageOutcome::of(answer, self.pages())
            }
            Err(NoAnswer::NotConnected(failure) | NoAnswer::Lost(failure)) => {
                PageOutcome::NotAnswered(failure)
            }
        }
    }
}

impl fmt::Debug for DirectCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectCall")
            .field("cbor", &self.cbor)
            .finish_non_exhaustive()
    }
}

impl PageOutcome {
    /// What an answer is. A body of any status may be in either form: see [`page_of`] and
    /// [`refusal_of`].
    fn of(answer: Http1Answer, pages: &PagePool) -> Self {
        let Http1Answer { head, body } = answer;
        let content_type = head.content_type.as_deref();
        if (200..300).contains(&head.status) {
            return match page_of(content_type, &body, NextMember::NextShardIterator, pages) {
                Ok((page, form)) => Self::Page(page, form),
                Err(unreadable) => Self::Unreadable(unreadable),
            };
        }
        Self::Refused {
            status: head.status,
            refusal: refusal_of(head.error_type.as_deref(), content_type, &body),
            request_id: head.request_id,
        }
    }

    /// Whether a call in another form would be answered alike. `is_proven`: a page has come in the
    /// form of this one.
    fn is_last_word(&self, is_proven: bool) -> bool {
        match self {
            Self::Page(..) | Self::NotAnswered(_) | Self::NotSigned(_) => true,
            Self::Refused { refusal, .. } => {
                let code = refusal.code.as_deref();
                is_proven || code.is_some_and(|code| is_named(OPERATION, code))
            }
            Self::Unreadable(_) => false,
        }
    }

    /// Whether the endpoint has answered at all.
    const fn is_answer(&self) -> bool {
        !matches!(self, Self::NotAnswered(_) | Self::NotSigned(_))
    }
}

/// The page, or the error that it is to whoever reads.
fn page(outcome: PageOutcome, cursor: &Cursor) -> Result<Page, Error> {
    // An iterator lets anybody read the shard for five minutes, and services repeat it in messages.
    let secret = Some(cursor.as_str());
    match outcome {
        PageOutcome::Page(page, _) => {
            // No next iterator is the end of the shard, whether the answer names shards that follow
            // or not.
            let next = page
                .next
                .map(|iterator| Cursor::new(cursor.shard().clone(), iterator));
            let children = if next.is_none() {
                page.children
            } else {
                Vec::new()
            };
            let mut read = Page::new(page.records, next).followed_by(children);
            read.millis_behind_latest = page.millis_behind_latest;
            Ok(read)
        }
        PageOutcome::Refused {
            status,
            refusal,
            request_id,
        } => {
            let failure = CallFailure::Refusal {
                status,
                code: refusal.code.as_deref(),
                message: refusal.message.as_deref(),
            };
            Err(failed(
                OPERATION,
                &failure,
                "",
                request_id.as_deref(),
                secret,
            ))
        }
        PageOutcome::Unreadable(Unreadable::Sequence(error)) => {
            let what = "the answer holds an invalid sequence number";
            Err(malformed(OPERATION, what).caused_by(error))
        }
        PageOutcome::Unreadable(error) => {
            let said = error.to_string();
            let failed = failed(OPERATION, &CallFailure::Unreadable, &said, None, secret);
            Err(failed.caused_by(error))
        }
        PageOutcome::NotAnswered(failure) => {
            let said = failure.to_string();
            let failed = failed(OPERATION, &failure.as_call_failure(), &said, None, secret);
            Err(failed.caused_by(failure))
        }
        PageOutcome::NotSigned(error) => {
            let said = error.to_string();
            let failed = failed(OPERATION, &CallFailure::NoConnection, &said, None, secret);
            Err(failed.caused_by(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: ErrorKind) -> Error {
        Error::new(kind, OPERATION.name(), "failed")
    }

    #[test]
    fn the_sdk_has_the_last_word_until_a_page_has_come() {
        use ErrorKind::{Busy, Denied, Expired, Fatal, Gone, Throttled, Transient, Unreachable};
        let call = || DirectCall::new(Http1Client::new(), true);
        let untried = call();
        for kind in [Fatal, Denied] {
            assert!(untried.is_doubtful(&failed(kind)), "{kind:?}");
        }
        for kind in [Busy, Expired, Gone, Throttled, Transient, Unreachable] {
            assert!(!untried.is_doubtful(&failed(kind)), "{kind:?}");
            let unreadable = failed(kind).caused_by(Unreadable::TooDeep);
            assert!(untried.is_doubtful(&unreadable), "{kind:?}");
        }
        let trusted = call();
        trusted.stand(TRUSTED);
        assert!(!trusted.is_doubtful(&failed(Fatal)));
        trusted.leave_to_the_sdk(&failed(Fatal));
        assert_eq!(trusted.standing.into_inner(), TRUSTED);
        untried.leave_to_the_sdk(&failed(Denied));
        assert_eq!(untried.standing.into_inner(), LEFT);
    }
}
