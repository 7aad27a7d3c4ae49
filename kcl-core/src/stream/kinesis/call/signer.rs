use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::primitives::{DateTime, DateTimeFormat};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::auth::{AuthScheme as _, AuthSchemeId};
use aws_smithy_runtime_api::client::identity::ResolveCachedIdentity as _;
use aws_smithy_types::endpoint::Endpoint;
use http::Uri;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use crate::BoxError;
use crate::stream::Error;

use super::super::KinesisStream;
use super::super::classify::KinesisOperation;
use super::super::failure::error_of;
use super::super::http::{AnswerHead, without_userinfo};
use super::super::wire::Form;

/// The one kind of signature that is made here. An endpoint that wants another is left to the SDK.
const SIGNATURE_4: AuthSchemeId = AuthSchemeId::new("sigv4");
/// Names the call in a protocol in which all calls are POSTs to `/` (AWS JSON 1.1).
const TARGET: &str = "Kinesis_20131202.GetRecords";
// The SDK's own user agent names its version and the system; a request that it did not make must
// not claim to be one of its own.
const USER_AGENT: &str = concat!("kcl-core/", env!("CARGO_PKG_VERSION"));

/// An answer that took longer says nothing of the service's clock, as the SDK has it. A host that
/// slept in between cannot tell how long ago the service wrote its date.
const MAX_TRUSTED: Duration = Duration::from_mins(15);

/// Makes requests to the endpoint that the SDK would use, signed with the credentials and by the
/// time that it would use.
pub(super) struct Signer {
    /// The SDK's credentials and their cache, and its clock.
    components: RuntimeComponents,
    /// Empty, but asked for by each call of the cache: what that needs is in the components.
    bag: ConfigBag,
    /// The whole URL, which is signed.
    address: String,
    /// Scheme, host and port.
    origin: Uri,
    /// The header `host`, which is signed too, so it must be what the URL says.
    host: String,
    /// The path of the URL: `/`, unless the endpoint is behind something.
    path: String,
    /// Part of what is signed.
    region: String,
    /// How much the service's clock is ahead of the SDK's, in milliseconds, by the last answer that
    /// told; nothing when the client says that it is not to be minded. The service refuses what is
    /// signed more than five minutes off, so a host with a wrong clock could not read at all.
    ahead: Option<AtomicI64>,
}

impl Signer {
    /// What the SDK uses for calls of this stream; nothing if it would do more than is done here.
    ///
    /// The SDK does not say which endpoint its rules choose, or with whose credentials it signs. So
    /// a call is begun as any other and stopped by an interceptor at the last moment before it
    /// would be signed: nothing is sent.
    ///
    /// # Errors
    /// When it could not make a call either, as that call would fail.
    pub(super) async fn find(stream: &KinesisStream) -> Result<Option<Self>, Error> {
        let operation = KinesisOperation::GetRecords;
        let note = NoteCall::default();
        let call = stream
            .client
            .get_records()
            // It has to be valid for the SDK, and is never sent.
            .shard_iterator("none")
            .set_stream_arn(stream.arn())
            .customize()
            .interceptor(note.clone());
        // Without a subscriber: the SDK would log a failed call for each worker that starts.
        let sent = call.send().with_subscriber(Dispatch::none()).await;
        let noted = note.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (noted, sent) {
            (Some(noted), _) => Ok(noted.signer(stream)),
            (None, Err(error)) => Err(error_of(operation, error, None)),
            // It was sent although the interceptor stops it: nothing is known of such an SDK, so it
            // keeps its calls.
            (None, Ok(_)) => Ok(None),
        }
    }

    /// Where a connection leads to.
    pub(super) const fn origin(&self) -> &Uri {
        &self.origin
    }

    /// The time by the SDK's clock.
    pub(super) fn now(&self) -> SystemTime {
        self.components
            .time_source()
            .map_or(SystemTime::UNIX_EPOCH, |source| source.now())
    }

    /// A request of HTTP/1.1, head and body.
    pub(super) async fn request(&self, form: Form, body: &[u8]) -> Result<Vec<u8>, BoxError> {
        let scheme = self.components.auth_scheme(SIGNATURE_4);
        let resolver = scheme.and_then(|scheme| scheme.identity_resolver(&self.components));
        let resolver = resolver.ok_or("the client has no credentials")?;
        let cache = self.components.identity_cache();
        let identity = cache
            .resolve_cached_identity(resolver, &self.components, &self.bag)
            .await?;
        let params = v4::SigningParams::builder()
            // Credentials that expire are renewed by the SDK's cache: a session token of a role
            // lives for an hour or so.
            .identity(&identity)
            .region(&self.region)
            .name("kinesis")
            .time(self.service_time())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let headers = [
            ("host", &*self.host),
            ("content-type", form.content_type()),
            ("x-amz-target", TARGET),
        ];
        // Only these are signed, and what the signature itself adds: a proxy may change the others.
        let signable = SignableRequest::new(
            "POST",
            &*self.address,
            headers.into_iter(),
            SignableBody::Bytes(body),
        )?;
        let (instructions, _) = sign(signable, &params)?.into_parts();
        let length = body.len().to_string();
        let own = [("user-agent", USER_AGENT), ("content-length", &*length)];
        // 2 KiB for the head, of which a session token is most.
        let mut request = Vec::with_capacity(2 * 1024 + body.len());
        request.extend_from_slice(b"POST ");
        request.extend_from_slice(self.path.as_bytes());
        request.extend_from_slice(b" HTTP/1.1\r\n");
        for (name, value) in headers.into_iter().chain(instructions.headers()).chain(own) {
            // A line break in a session token, or in an endpoint, would begin another header.
            if value.bytes().any(|byte| byte < b' ' && byte != b'\t') {
                return Err(format!("the header {name} holds a control character").into());
            }
            request.extend_from_slice(name.as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        Ok(request)
    }

    /// Sets the time by an answer, as the SDK does by each of its own. Not by one that was kept by
    /// something on the way: its date is that of another call. Answers of several shards may come
    /// in any order; each of them is as good as the last.
    pub(super) fn learn(&self, sent_at: SystemTime, head: &AnswerHead) {
        let Some(ahead) = self.ahead.as_ref().filter(|_| !head.is_cached) else {
            return;
        };
        let took = self.now().duration_since(sent_at).unwrap_or_default();
        let date = head.date.as_deref();
        let date = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        let date = date.and_then(|date| SystemTime::try_from(date).ok());
        let Some(date) = date.filter(|_| took <= MAX_TRUSTED) else {
            return;
        };
        let between = sent_at + took / 2;
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or_default();
        // `Date` has whole seconds, so this may be off by one; a signature may be off by minutes.
        let by = match date.duration_since(between) {
            Ok(later) => millis(later),
            Err(earlier) => -millis(earlier.duration()),
        };
        ahead.store(by, Ordering::Relaxed);
    }

    /// The time by the service's clock, as far as answers have told it.
    fn service_time(&self) -> SystemTime {
        let now = self.now();
        let ahead = self.ahead.as_ref();
        let ahead = ahead.map_or(0, |ahead| ahead.load(Ordering::Relaxed));
        let span = Duration::from_millis(ahead.unsigned_abs());
        let moved = if ahead < 0 {
            now.checked_sub(span)
        } else {
            now.checked_add(span)
        };
        moved.unwrap_or(now)
    }
}

impl fmt::Debug for Signer {
    /// Not the credentials, nor what may hold them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("origin", &self.origin)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// What a call of the SDK would be made with.
struct NotedCall {
    components: RuntimeComponents,
    address: String,
    /// The endpoint wants a signature of another kind, or more headers.
    is_special: bool,
}

impl NotedCall {
    /// The signer, or `None` where the SDK has to make the calls: the endpoint is special, or has
    /// an address or region that this does not understand.
    fn signer(self, stream: &KinesisStream) -> Option<Signer> {
        let config = stream.client.config();
        // An address may hold a user and a password, which belong in no signature, host header or
        // log.
        let address = without_userinfo(self.address.parse().ok()?).ok()?;
        if self.is_special {
            return None;
        }
        let (scheme, host) = (address.scheme_str()?, address.authority()?.as_str());
        let origin = Uri::builder().scheme(scheme).authority(host);
        let path = address.path_and_query().map_or("/", |path| path.as_str());
        let minds_clock = config.disable_clock_skew_correction() != Some(true);
        Some(Signer {
            origin: origin.path_and_query("/").build().ok()?,
            host: host.to_owned(),
            path: path.to_owned(),
            address: address.to_string(),
            region: config.region()?.to_string(),
            ahead: minds_clock.then(AtomicI64::default),
            bag: ConfigBag::base(),
            components: self.components,
        })
    }
}

/// Notes what a call would be made with, and stops it.
#[derive(Clone, Default)]
struct NoteCall(Arc<Mutex<Option<NotedCall>>>);

impl fmt::Debug for NoteCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoteCall")
    }
}

impl Intercept for NoteCall {
    fn name(&self) -> &'static str {
        "NoteCall"
    }

    fn read_before_signing(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // Rules of endpoints may ask for another kind of signature, another name or region in it,
        // or for headers. None of the service's endpoints does today.
        let is_special = bag.load::<Endpoint>().is_none_or(|endpoint| {
            endpoint.headers().next().is_some()
                || !endpoint.auth_schemes().is_empty()
                || endpoint.properties().contains_key("authSchemes")
        });
        let noted = NotedCall {
            components: components.clone(),
            address: context.request().uri().to_owned(),
            is_special,
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(noted);
        Err("this call was only to be looked at".into())
    }
}
