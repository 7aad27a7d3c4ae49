use std::time::Duration;

/// What the connections of subscriptions are made like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Http2Settings {
    /// Subscriptions on one connection, at most: 50, and fewer where the server allows fewer. RFC
    /// 9113 recommends that a server allows 100 at least. Half of it keeps what one connection
    /// carries, and one task decrypts, at 135 MB a second (2 MB a second and shard, 2.7 on the
    /// wire), and costs a worker of 256 shards six connections.
    pub streams: u32,
    /// What a server may send by one stream beyond what was read of it, in bytes: 512 KiB, as the
    /// KCL has it. At the 2.7 MB a second that a shard at its limit takes on the wire, that is
    /// enough up to 190 ms from the service; it is also what each subscription whose reader has
    /// stopped may hold in memory, beside the byte budget.
    pub window: u32,
    /// The pause between one ping and the next: 10 s, where the KCL has 60 s, so that a dead
    /// connection is noticed within 20 s. At least 10 ms.
    pub ping_every: Duration,
    /// How long a connection may be silent after a ping: 10 s. Any byte that comes shows that the
    /// peer lives, so that one whose answer is behind much data is not given up. At least 10 ms.
    pub ping_limit: Duration,
    /// How long a subscription that is given up may have been silent before it is taken for a sign
    /// that its connection carries nothing: 20 s. The service sends an event each few seconds, and
    /// who waits for one gives up after 30 s. At least 10 ms.
    pub silent_limit: Duration,
}

impl Http2Settings {
    /// The window of a connection: the sum of the windows of its streams, so that streams that are
    /// not read take nothing from the others. HTTP/2 allows 2 GiB.
    #[must_use]
    pub const fn connection_window(&self) -> u32 {
        let sum = self.window.saturating_mul(self.streams);
        if sum > MAX_WINDOW { MAX_WINDOW } else { sum }
    }

    /// The same settings within the bounds of HTTP/2: at least one stream, and windows from 64 KiB
    /// to 2 GiB for the connection. No time is shorter than the least pause.
    pub(super) fn bounded(self) -> Self {
        let streams = self.streams.max(1);
        let window = self.window.clamp(MIN_WINDOW, MAX_WINDOW);
        // Rather fewer streams than windows that the connection's does not cover.
        let streams = streams.min(MAX_WINDOW / window);
        let [ping_every, ping_limit, silent_limit] =
            [self.ping_every, self.ping_limit, self.silent_limit].map(|span| span.max(MIN_PAUSE));
        Self {
            streams,
            window,
            ping_every,
            ping_limit,
            silent_limit,
        }
    }
}

/// Pings without a pause would be a loop that does nothing else, and an answer that has no time can
/// only be late.
const MIN_PAUSE: Duration = Duration::from_millis(10);
/// HTTP/2 begins every stream with this window (RFC 9113, section 6.9.2), so a smaller one would
/// take effect too late.
const MIN_WINDOW: u32 = (1 << 16) - 1;
/// The largest window that HTTP/2 allows (RFC 9113, section 6.9.1).
const MAX_WINDOW: u32 = (1 << 31) - 1;

impl Default for Http2Settings {
    fn default() -> Self {
        let ping = Duration::from_secs(10);
        Self {
            streams: 50,
            window: 512 << 10,
            ping_every: ping,
            ping_limit: ping,
            silent_limit: Duration::from_secs(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_of_a_connection_covers_all_its_streams() {
        let most = Http2Settings {
            streams: u32::MAX,
            window: u32::MAX,
            ..Http2Settings::default()
        };
        let least = Http2Settings {
            streams: 0,
            window: 0,
            ..Http2Settings::default()
        };
        for settings in [
            Http2Settings::default(),
            most,
            least,
            Http2Settings {
                window: 1 << 20,
                streams: 10_000,
                ..most
            },
        ] {
            let bounded = settings.bounded();
            assert!(
                bounded.streams > 0 && bounded.window >= 65_535,
                "{bounded:?}"
            );
            assert_eq!(
                u64::from(bounded.connection_window()),
                u64::from(bounded.window) * u64::from(bounded.streams)
            );
        }
        assert_eq!(Http2Settings::default().connection_window(), 25 << 20);
    }

    #[test]
    fn a_ping_has_a_pause_before_it_and_time_to_be_answered() {
        let [ping_every, ping_limit, silent_limit] = [Duration::ZERO; 3];
        let none = Http2Settings {
            ping_every,
            ping_limit,
            silent_limit,
            ..Http2Settings::default()
        }
        .bounded();
        assert_eq!(
            [none.ping_every, none.ping_limit, none.silent_limit],
            [Duration::from_millis(10); 3]
        );
        assert_eq!(Http2Settings::default().bounded(), Http2Settings::default());
    }
}
