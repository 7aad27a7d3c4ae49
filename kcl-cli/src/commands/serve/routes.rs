//! What is asked for by which path. Only one of them writes, and only with `--allow-changes`.
//!
//! | path | is |
//! |---|---|
//! | `/`, its scripts, style and icon | the page, compiled into the program |
//! | `/api/...` | the documents of the commands' `--json`, from the last look |
//! | `/api/live` | events for the page, one per look |
//! | `/metrics` | the fleet for Prometheus |
//! | `/api/dead-letters` | the dead letters in the files of `--dead-letters` |
//! | `/scale` | how many workers there should be, for KEDA |
//! | `/healthz` | whether the tables can be read |
//! | `POST /api/change` | a pause, its end, a seek, a move or a drain: see [`changes`](super::changes) |
//!
//! A path without an application means the first one that was given. [`guard`] stands before all of
//! them.
//!
//! ```text
//!  browser, Prometheus, KEDA --> guard: host, origin, method, token --> route --> the last Snapshot --> JSON or text
//! ```
//!
//! An answer is computed from the snapshot when it is asked for; only what every page draws after
//! each look is written once for all of them.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;

use super::changes::{ChangeDesk, ChangeWish};
use super::figures;
use super::files::FILES;
use super::hosts::Hosts;
use super::letters::LettersDocument;
use super::snapshot::Snapshot;
use super::token::ChangeToken;
use super::tree::{TreePage, Wish};
use crate::commands::check::CheckDocument;
use crate::commands::cost::CostDocument;
use crate::commands::lag::LagDocument;
use crate::commands::leases::LeasesDocument;
use crate::commands::shards::ShardsDocument;
use crate::commands::status::{StatusDocument, Summary};
use crate::commands::workers::WorkersDocument;
use crate::table_at::OpenTable;

/// An application that is shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// Where it is, for the documents.
    pub(super) table: Arc<OpenTable>,
    /// The last look, and the next ones as they come.
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Where its changes are asked for.
    pub(super) desk: ChangeDesk,
}

/// What the handlers share.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// In the order of the command line.
    pub(super) shown: Arc<[Shown]>,
    /// The names under which it answers.
    pub(super) hosts: Hosts,
    /// The dead letters, where files of them were named.
    pub(super) letters: Option<watch::Receiver<Arc<LettersDocument>>>,
    /// What a request has to know to change something; `None` if nothing can be changed.
    pub(super) token: Option<ChangeToken>,
    /// True once the program ends: then the pages' streams end too.
    pub(super) ending: watch::Receiver<bool>,
}

/// The page asks for nothing that is not from here, and no other page may frame it.
///
/// A record's partition key or a worker's name may contain anything. Even if one of them found its
/// way into the page as markup, no script of it would run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
/// All routes behind the guard, those of the files included.
pub(super) fn router(site: Site) -> Router {
    let mut router = Router::new();
    for (path, kind, text) in FILES {
        router = router.route(
            path,
            get(move || async move { ([(CONTENT_TYPE, kind)], text) }),
        );
    }
    // One application is the usual case, and what asks for it should need no name; several are told
    // apart by theirs.
    let both = |router: Router<Site>, path: &str, handler: axum::routing::MethodRouter<Site>| {
        router
            .route(path, handler.clone())
            .route(&format!("{path}/{{application}}"), handler)
    };
    let mut api: Router<Site> = Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/api/applications", get(applications))
        .route("/api/dead-letters", get(dead_letters));
    api = both(api, "/scale", get(scale));
    api = both(api, "/api/status", get(status));
    api = both(api, "/api/workers", get(workers));
    api = both(api, "/api/leases", get(leases));
    api = both(api, "/api/check", get(check));
    api = both(api, "/api/cost", get(cost));
    api = both(api, "/api/lag", get(lag));
    api = both(api, "/api/shards", get(shards));
    api = both(api, "/api/tree", get(tree));
    api = both(api, "/api/history", get(history));
    api = both(api, "/api/live", get(live));
    api = both(api, "/api/change", post(change));
    let guarded = site.clone();
    router
        .merge(api.with_state(site))
        // Before the layer, so that the guard stands before unknown paths as well.
        .fallback(|| async {
            refused(
                StatusCode::NOT_FOUND,
                "there is nothing here: see /api in docs/cli.md",
            )
        })
        .layer(middleware::from_fn_with_state(guarded, guard))
}

/// Refuses what is not asked under a known name or is no read, and says how the answers are used.
///
/// Every answer has the headers, the refusals too.
async fn guard(State(site): State<Site>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&site, request.method(), request.uri(), request.headers()) {
        Some((status, why)) => refused(status, &why),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Why a request is refused, or `None`. The host is checked first: to a foreign page nothing is
/// said, not even which methods there are.
///
/// There is no login, so this is the whole defence of a page that shows the keys of leases and the
/// names of hosts: see [`Hosts`].
fn refusal(
    site: &Site,
    method: &Method,
    uri: &axum::http::Uri,
    headers: &HeaderMap,
) -> Option<(StatusCode, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    // By HTTP/2 the name is in the target.
    let host = uri
        .host()
        .map(ToOwned::to_owned)
        .or_else(|| headers.get(HOST).map(text));
    let host = host.unwrap_or_default();
    if !site.hosts.allows(&host) {
        return Some((
            StatusCode::FORBIDDEN,
            format!(
                "the host `{host}` is not allowed: expected a loopback name or one of --allow-host"
            ),
        ));
    }
    // Browsers send it where a script of another page asks. `null`, which a file or a frame without
    // an origin sends, is no name of this page.
    if let Some(origin) = headers.get(ORIGIN).map(text)
        && !site.hosts.allows_origin(&origin)
    {
        let why = format!("the origin `{origin}` is not allowed");
        return Some((StatusCode::FORBIDDEN, why));
    }
    match (&site.token, method) {
        (_, &Method::GET | &Method::HEAD) => None,
        (None, _) => {
            let why = format!(
                "{method} is not allowed: expected GET, nothing can be changed here without \
                 --allow-changes"
            );
            Some((StatusCode::METHOD_NOT_ALLOWED, why))
        }
        (Some(token), &Method::POST) if token.is_in(headers) => None,
        (Some(_), &Method::POST) => {
            let why = "the token is missing or wrong: expected `Authorization: Bearer TOKEN`";
            Some((StatusCode::UNAUTHORIZED, why.to_owned()))
        }
        (Some(_), _) => {
            let why = format!("{method} is not allowed: expected GET, or POST for a change");
            Some((StatusCode::METHOD_NOT_ALLOWED, why))
        }
    }
}

/// A refusal with its reason as text, for people who use `curl`.
fn refused(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}

/// An answer in JSON.
fn document(document: &impl Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(text) => ([(CONTENT_TYPE, "application/json")], Body::from(text)).into_response(),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The application that the path names, or the first one.
///
/// # Errors
/// The answer 404, with the names that are known.
fn named(site: &Site, path: Option<&Path<String>>) -> Result<(Shown, Arc<Snapshot>), Response> {
    let shown = match path {
        None => site.shown.first(),
        Some(Path(name)) => site.shown.iter().find(|it| it.table.application == *name),
    };
    let Some(shown) = shown else {
        let all: Vec<&str> = site
            .shown
            .iter()
            .map(|it| it.table.application.as_str())
            .collect();
        let why = format!(
            "this application is not shown here: expected {}",
            all.join(", ")
        );
        return Err(refused(StatusCode::NOT_FOUND, &why));
    };
    // Cloned, and the channel's guard given back at once: while it is held, the watcher cannot
    // publish.
    let snapshot = Arc::clone(&*shown.snapshots.borrow());
    Ok((shown.clone(), snapshot))
}

/// The application in the path, if there is one.
type Named = Option<Path<String>>;
/// An answer, or one that says why there is none; both are sent.
type Answer = Result<Response, Response>;

/// 200 if every table could be read when it was last tried, 503 with the first error otherwise. A
/// probe of Kubernetes should not restart the program for that: the table is at fault.
async fn health(State(site): State<Site>) -> Response {
    for shown in site.shown.iter() {
        if let Some(error) = &shown.snapshots.borrow().error {
            return refused(StatusCode::SERVICE_UNAVAILABLE, error);
        }
    }
    refused(StatusCode::OK, "ok")
}

/// All applications in one text, each with its label.
async fn metrics(State(site): State<Site>) -> Response {
    let all: Vec<(&str, Arc<Snapshot>)> = site
        .shown
        .iter()
        .map(|it| {
            (
                it.table.application.as_str(),
                Arc::clone(&*it.snapshots.borrow()),
            )
        })
        .collect();
    let text = figures::text(all.iter().map(|(name, snapshot)| (*name, &**snapshot)));
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response()
}

/// The names of the applications and where their leases are.
async fn applications(State(site): State<Site>) -> Response {
    let one = |shown: &Shown| {
        json!({
            "application": shown.table.application,
            "lease_table": shown.table.place.to_string(),
            "may_change": site.token.is_some(),
            "has_dead_letters": site.letters.is_some(),
        })
    };
    document(&site.shown.iter().map(one).collect::<Vec<_>>())
}

/// The dead letters as they were read last.
async fn dead_letters(State(site): State<Site>) -> Answer {
    let Some(letters) = &site.letters else {
        let why = "no files of dead letters are known here: expected --dead-letters";
        return Err(refused(StatusCode::NOT_FOUND, why));
    };
    let read = Arc::clone(&*letters.borrow());
    Ok(document(&*read))
}

/// Nothing is said of a table that cannot be read: then KEDA keeps what there is, or takes its
/// fallback. The last figure would be worse: it may be that of a fleet which has not been able to
/// work since.
async fn scale(State(site): State<Site>, path: Named) -> Answer {
    let (shown, snapshot) = named(&site, path.as_ref())?;
    if let Some(error) = &snapshot.error {
        return Err(refused(StatusCode::SERVICE_UNAVAILABLE, error));
    }
    #[derive(Serialize)]
    struct ScaleDocument<'a> {
        application: &'a str,
        #[serde(flatten)]
        wanted: &'a super::scale::Wanted,
        max_behind_seconds: Option<f64>,
    }
    // Where the stream is not asked, the number goes by the leases alone and the lag is null.
    let figures = snapshot
        .lag
        .as_ref()
        .map(|round| round.figures())
        .unwrap_or_default();
    Ok(document(&ScaleDocument {
        application: &shown.table.application,
        wanted: &snapshot.wanted,
        max_behind_seconds: figures.max_behind_seconds,
    }))
}

/// As `kcl status --json`.
async fn status(State(site): State<Site>, path: Named) -> Answer {
    let (shown, snapshot) = named(&site, path.as_ref())?;
    let summary = Summary::of(&snapshot.fleet);
    Ok(document(&StatusDocument::new(&shown.table, summary)))
}

/// As `kcl workers --json`.
async fn workers(State(site): State<Site>, path: Named) -> Answer {
    let (shown, snapshot) = named(&site, path.as_ref())?;
    Ok(document(&WorkersDocument::new(
        &shown.table,
        &snapshot.fleet,
    )))
}

/// The filter and the page in the query.
fn wish(RawQuery(query): RawQuery) -> Result<Wish, Response> {
    Wish::read(&query.unwrap_or_default()).map_err(|why| refused(StatusCode::BAD_REQUEST, &why))
}

/// As `kcl leases --json`, filtered, and without a limit if none is given.
async fn leases(State(site): State<Site>, path: Named, query: RawQuery) -> Answer {
    let (shown, snapshot) = named(&site, path.as_ref())?;
    let wish = wish(query)?;
    let leases = snapshot.fleet.leases.iter().filter(|it| wish.wants(it));
    let page = wish.page(leases.collect());
    Ok(document(&LeasesDocument::new(
        &shown.table,
        &snapshot.fleet,
        page,
    )))
}

/// As `kcl check --json`, with what has been confirmed by several looks.
async fn check(State(site): State<Site>, path: Named) -> Answer {
    let (shown, snapshot) = named(&site, path.as_ref())?;
    // Whether the stream was asked decides what a check could find, so the document says it.
    let asked = snapshot.lag.as_ref().ok();
    let asked = asked
        .filter(|round| round.of.is_ok())
        .map(|round| round.asked);
    let fleet = &snapshot.fleet;
    Ok(document(&CheckDocument::new(
        &shown.table,
        fleet,
        &snapshot.findings,
        asked,
    )))
}

/// As `kcl cost --json`, at the prices of us-east-1.
async fn cost(State(site): State<Site>, path: Named) -> Answer {
    let (shown, snapshot) = named(&site, path.as_ref())?;
    Ok(document(&CostDocument::at_list_prices(
        &shown.table,
        &snapshot.fleet,
    )))
}

/// The last measurement of the lag.
///
/// # Errors
/// The answer 503 with the reason why there is none: it was switched off, has not been made yet, or
/// failed.
fn round(snapshot: &Snapshot) -> Result<&super::lag_round::LagRound, Response> {
    let unknown = |why: &String| refused(StatusCode::SERVICE_UNAVAILABLE, why);
    snapshot.lag.as_ref().map(|round| &**round).map_err(unknown)
}

/// As `kcl lag --json`.
async fn lag(State(site): State<Site>, path: Named) -> Answer {
    let (shown, snapshot) = named(&site, path.as_ref())?;
    let round = round(&snapshot)?;
    let application = &shown.table.application;
    Ok(document(&LagDocument::new(
        application,
        round.of.as_ref().ok(),
        &round.lags,
        round.asked,
    )))
}

/// As `kcl shards --json`: the shards are listed with each measurement of the lag.
async fn shards(State(site): State<Site>, path: Named) -> Answer {
    let (_, snapshot) = named(&site, path.as_ref())?;
    let of = round(&snapshot)?.of.as_ref();
    let of = of.map_err(|why| refused(StatusCode::SERVICE_UNAVAILABLE, why))?;
    Ok(document(&ShardsDocument::new(&of.name, &of.view)))
}

/// One page of the leases as a tree, filtered.
async fn tree(State(site): State<Site>, path: Named, query: RawQuery) -> Answer {
    let (shown, snapshot) = named(&site, path.as_ref())?;
    let wish = wish(query)?;
    Ok(document(&TreePage::new(
        &shown.table.application,
        &snapshot,
        &wish,
    )))
}

/// The samples and happenings that are kept in memory.
async fn history(State(site): State<Site>, path: Named) -> Answer {
    let (shown, snapshot) = named(&site, path.as_ref())?;
    Ok(document(&json!({
        "application": shown.table.application,
        "samples": snapshot.history.samples(),
        "happened": snapshot.history.newest(usize::MAX).collect::<Vec<_>>(),
    })))
}

/// Has something changed. The body is JSON, whatever type it claims: a form of a foreign page cannot
/// send the token.
async fn change(State(site): State<Site>, path: Named, body: String) -> Answer {
    let (shown, _) = named(&site, path.as_ref())?;
    let wish: ChangeWish = serde_json::from_str(&body)
        .map_err(|error| refused(StatusCode::BAD_REQUEST, &format!("invalid change: {error}")))?;
    match shown.desk.ask(wish).await {
        Ok(done) => Ok(document(&done)),
        Err((status, why)) => Err(refused(status, &why)),
    }
}

/// What a page draws, now and after each look, until the program ends.
///
/// A page that is slow misses looks and gets the newest one: an event is the whole picture and no
/// difference.
async fn live(State(site): State<Site>, path: Named) -> Answer {
    let (shown, _) = named(&site, path.as_ref())?;
    let mut snapshots = shown.snapshots;
    // So that the page has a picture at once and need not wait for the next look.
    snapshots.mark_changed();
    let events = stream::unfold(
        (snapshots, site.ending),
        async |(mut snapshots, mut ending)| {
            tokio::select! {
                biased;
                // A graceful end of the server waits for open answers, and this one would never end
                // by itself.
                _ = ending.wait_for(|ending| *ending) => return None,
                changed = snapshots.changed() => changed.ok()?,
            }
            // Read as seen, or the next wait would be over at once and the page would draw the same
            // again.
            let text = Arc::clone(&snapshots.borrow_and_update().live);
            Some((
                Ok::<_, Infallible>(Event::default().data(text)),
                (snapshots, ending),
            ))
        },
    );
    Ok(Sse::new(events)
        // A comment every 15 s, so that no proxy ends a stream of a fleet that is looked at seldom.
        .keep_alive(KeepAlive::default())
        .into_response())
}
