use crate::sim::history::{Entry, Event};

use super::fold::{Fold, See, Sink};

/// I18: a worker lists all shards of a stream once at a time, however many of its leases have
/// reason to ask. Of a stream that was made again, the listing of the one before may still be under
/// way.
#[derive(Debug)]
pub(super) struct Listings;

impl Fold for Listings {
    fn name(&self) -> &'static str {
        "I18 listings"
    }

    fn on(&mut self, entry: &Entry, see: &See<'_>, sink: &mut Sink<'_>) {
        let Event::Listing {
            life,
            stream,
            under_way,
        } = entry.event
        else {
            return;
        };
        let most = if see.stream.is_replaced(stream) { 2 } else { 1 };
        sink.check(under_way <= most, || {
            format!("{life:?} lists the shards of stream {stream} {under_way} times at once")
        });
    }
}
