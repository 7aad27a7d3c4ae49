use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::Clock;
use crate::model::Moment;
use crate::runtime::system_clock;

/// The buffers that pages are received into. A buffer comes back when the last slice of its page is
/// dropped, and the next page is received into it: memory of this size is otherwise taken from the
/// system and given back for each page, and every byte of it is then cleared twice.
///
/// What is idle and what is lent are together no more than the bound, which is the byte budget of
/// the worker that reads. Only a handler that keeps records can exceed it: their pages are lent
/// until the last of them is dropped, whatever the bound says, and then nothing is kept idle.
#[derive(Clone)]
pub(super) struct PagePool(Arc<PoolInner>);

struct PoolInner {
    clock: Arc<dyn Clock>,
    /// Held for the time of a search in a short list, and never while memory is freed.
    state: Mutex<PoolState>,
}

struct PoolState {
    /// Who came back last is at the end.
    idle: VecDeque<(Moment, Vec<u8>)>,
    /// The capacity of all that is idle.
    idle_bytes: usize,
    /// The capacity of all that is lent, by what it was at that time.
    lent_bytes: usize,
    /// What both may be together.
    bound: usize,
}

/// Shorter bodies get a buffer of their own: the allocator is faster with them than a pool is, and a
/// short page that a handler keeps must not keep a long buffer.
const SHORTEST: usize = 64 * 1024;

/// A buffer that was idle for this long is freed. A shard that is behind reads several pages a
/// second, and one that is not needs no buffer of this kind.
const IDLE_LIMIT: Duration = Duration::from_mins(1);

/// The bound until a worker says what its budget is: the default budget.
const BOUND: usize = 128 * 1024 * 1024;

impl PagePool {
    /// An empty pool, with the default bound.
    pub(super) fn new() -> Self {
        Self(Arc::new(PoolInner {
            clock: system_clock(),
            state: Mutex::new(PoolState {
                idle: VecDeque::new(),
                idle_bytes: 0,
                lent_bytes: 0,
                bound: BOUND,
            }),
        }))
    }

    /// Nothing is kept idle from now on that would be more than this together with what is lent.
    pub(super) fn keep_within(&self, bytes: usize) {
        let mut state = self.0.state();
        if state.bound != bytes {
            state.bound = bytes;
            state.make_room(0);
        }
    }

    /// An empty buffer with room for so many bytes.
    pub(super) fn buffer(&self, length: usize) -> PageBuffer {
        if length < SHORTEST {
            return PageBuffer::own(Vec::with_capacity(length));
        }
        let mut state = self.0.state();
        let found = state.take(length);
        let data = found.unwrap_or_else(|| {
            let length = rounded(length);
            state.make_room(length);
            Vec::with_capacity(length)
        });
        let lent = data.capacity();
        state.lent_bytes += lent;
        PageBuffer {
            data,
            lent,
            home: Some(Arc::clone(&self.0)),
        }
    }

    /// Frees what was idle for long. Called after each call to the service and with each event.
    pub(super) fn free_idle(&self) {
        let now = self.0.clock.now();
        self.0.state().free_idle(now);
    }

    #[cfg(test)]
    fn bytes(&self) -> (usize, usize) {
        let state = self.0.state();
        (state.idle_bytes, state.lent_bytes)
    }
}

/// Pages of one shard differ by a few bytes: rounded up by an eighth at most, so that the buffer of
/// one takes the next.
const fn rounded(length: usize) -> usize {
    let step = length.next_power_of_two() / 16;
    length.next_multiple_of(step)
}

impl PoolInner {
    fn state(&self) -> MutexGuard<'_, PoolState> {
        // Nothing is left half done where it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolState {
    /// The smallest idle buffer that so many bytes fit into and fill well enough.
    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| {
            let capacity = buffer.capacity();
            // A quarter of it may be left over: the byte budget counts the records alone.
            capacity >= length && capacity - capacity / 4 <= length
        };
        // The one that came back last is the likeliest to be in the caches still.
        let at = (0..self.idle.len())
            .rev()
            .filter(|at| fits(&self.idle[*at].1))
            .min_by_key(|at| self.idle[*at].1.capacity())?;
        let (_, buffer) = self.idle.remove(at)?;
        self.idle_bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Frees idle buffers until so many bytes more may be lent, those first that are idle longest.
    fn make_room(&mut self, bytes: usize) {
        while self.idle_bytes + self.lent_bytes + bytes > self.bound {
            let Some((_, freed)) = self.idle.pop_front() else {
                return;
            };
            self.idle_bytes -= freed.capacity();
        }
    }

    /// Frees what was idle for too long. The oldest are in front.
    fn free_idle(&mut self, now: Moment) {
        while let Some((since, _)) = self.idle.front()
            && now.since(*since) >= IDLE_LIMIT
            && let Some((_, freed)) = self.idle.pop_front()
        {
            self.idle_bytes -= freed.capacity();
        }
    }
}

impl fmt::Debug for PagePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state();
        f.debug_struct("PagePool")
            .field("idle", &state.idle_bytes)
            .field("lent", &state.lent_bytes)
            .finish_non_exhaustive()
    }
}

/// A buffer for a page, which goes back to its pool when it is dropped, or the last slice of it.
pub(super) struct PageBuffer {
    /// What was received so far; the capacity may be larger than the page.
    pub(super) data: Vec<u8>,
    /// What the pool counts it by: `data` may have grown since.
    lent: usize,
    /// Nothing for a buffer that is freed when it is dropped.
    home: Option<Arc<PoolInner>>,
}

impl PageBuffer {
    /// A buffer that belongs to no pool.
    pub(super) const fn own(data: Vec<u8>) -> Self {
        Self {
            data,
            lent: 0,
            home: None,
        }
    }

    /// What is in it, to be cut into slices.
    pub(super) fn freeze(mut self) -> Bytes {
        if self.home.is_none() {
            return std::mem::take(&mut self.data).into();
        }
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for PageBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for PageBuffer {
    fn drop(&mut self) {
        let Some(home) = self.home.take() else {
            return;
        };
        let mut data = std::mem::take(&mut self.data);
        // The bytes stay as they are. Nobody reads them: a buffer is only appended to.
        data.clear();
        let now = home.clock.now();
        let mut state = home.state();
        state.lent_bytes -= self.lent;
        // One more than there may be is freed here, after the lock: freeing takes long.
        if state.idle_bytes + state.lent_bytes + data.capacity() <= state.bound {
            state.idle_bytes += data.capacity();
            state.idle.push_back((now, data));
        } else {
            drop(state);
            drop(data);
        }
    }
}

impl fmt::Debug for PageBuffer {
    /// Not the data, which are the users'.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PageBuffer").field(&self.data.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::SystemClock;

    const MIB: usize = 1024 * 1024;

    fn filled(pool: &PagePool, length: usize) -> Bytes {
        let mut buffer = pool.buffer(length);
        buffer.data.resize(length, 7);
        buffer.freeze()
    }

    #[test]
    fn a_buffer_is_used_again_when_its_last_slice_is_dropped() {
        let pool = PagePool::new();
        let page = filled(&pool, MIB);
        let (address, record) = (page.as_ptr(), page.slice(10..20));
        drop(page);
        // One record is kept, and with it its page.
        assert_eq!(pool.bytes(), (0, MIB));
        assert_ne!(filled(&pool, MIB).as_ptr(), address);
        assert_eq!(&record[..], [7; 10]);
        drop(record);
        assert_eq!(pool.bytes(), (2 * MIB, 0));
        let (first, second) = (filled(&pool, MIB - 100), filled(&pool, MIB));
        assert!(first.as_ptr() == address || second.as_ptr() == address);
        assert_eq!(pool.bytes(), (0, 2 * MIB));
    }

    #[test]
    fn idle_and_lent_buffers_stay_within_the_bound() {
        let pool = PagePool::new();
        pool.keep_within(4 * MIB);
        let mut pages: Vec<_> = (0..6).map(|_| filled(&pool, MIB)).collect();
        assert_eq!(pool.bytes(), (0, 6 * MIB));
        pages.truncate(4);
        assert_eq!(pool.bytes(), (0, 4 * MIB));
        pages.truncate(2);
        assert_eq!(pool.bytes(), (2 * MIB, 2 * MIB));
        // A page of another size takes the place of what is idle.
        let long = filled(&pool, 3 * MIB);
        assert_eq!(pool.bytes(), (0, 5 * MIB));
        drop((pages, long));
        assert!(pool.bytes().0 <= 4 * MIB && pool.bytes().1 == 0);
        pool.keep_within(MIB);
        assert!(pool.bytes().0 <= MIB);
    }

    #[test]
    fn a_buffer_is_freed_after_a_minute_without_use() {
        let pool = PagePool::new();
        drop((filled(&pool, MIB), filled(&pool, 2 * MIB)));
        let now = SystemClock.now();
        let later = |seconds| now + Duration::from_secs(seconds);
        pool.0.state().free_idle(later(59));
        assert_eq!(pool.bytes(), (3 * MIB, 0));
        pool.0.state().free_idle(later(61));
        assert_eq!(pool.bytes(), (0, 0));
    }

    #[test]
    fn a_short_page_keeps_no_long_buffer() {
        let pool = PagePool::new();
        drop(filled(&pool, 4 * MIB));
        let page = filled(&pool, MIB);
        assert_eq!(pool.bytes(), (4 * MIB, MIB));
        let short = filled(&pool, 100);
        assert_eq!(pool.bytes(), (4 * MIB, MIB));
        drop((page, short));
        assert_eq!(pool.bytes(), (5 * MIB, 0));
    }
}
