//! `UpdateShardCount`: reshards a stream into equal ranges, by splits and merges.
//!
//! ```text
//!   3 shards to 2:    [   0   ][   1   ][   2   ]
//!   split at 1/2:              [ 3 ][ 4 ]
//!   merge:            [     5      ][     6     ]      5 = 0 + 3, 6 = 4 + 2
//! ```
//!
//! Every shard has at most two parents, on which readers of the service may rely. Intermediate
//! shards are closed as soon as they are created, and never get a record.

use ferrokinesis::sequence::{MAX_SEQ_IX, SeqObj, shard_id_name, stringify_sequence};
use ferrokinesis::types::{HashKeyRange, SequenceNumberRange, Shard};

use crate::stream::records::Origin;

/// A range of hash keys, both bounds included, and the open shard with this range.
///
/// It is a value: a piece that is split or merged is replaced by others, and its shard is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    /// Its place in the list of shards.
    shard: usize,
    /// The first hash key.
    start: u128,
    /// The last hash key.
    end: u128,
    /// How many steps led to the shard; 0 for one that existed before.
    depth: u64,
}

/// Closes shards and adds new ones, so that `target` shards with equal ranges are open. A shard
/// that already has such a range stays open.
///
/// First every open shard is split where a new range begins inside it, then the pieces of each new
/// range are merged pair by pair.
pub(in crate::stream) fn reshard(shards: &mut Vec<Shard>, target: u32, now_ms: u64) {
    let bounds = bounds(target);
    let mut open: Vec<Piece> = shards
        .iter()
        .enumerate()
        .filter(|(_, shard)| shard.sequence_number_range.ending_sequence_number.is_none())
        .map(|(at, shard)| Piece {
            shard: at,
            start: shard.hash_key_range.start_u128(),
            end: shard.hash_key_range.end_u128(),
            depth: 0,
        })
        .collect();
    open.sort_by_key(|piece| piece.start);

    let mut pieces = Vec::new();
    for piece in open {
        let inside: Vec<u128> = bounds
            .iter()
            .copied()
            .filter(|&at| piece.start < at && at <= piece.end)
            .collect();
        split(shards, piece, &inside, now_ms, &mut pieces);
    }
    for (at, &start) in bounds.iter().enumerate() {
        let end = bounds.get(at + 1).map_or(u128::MAX, |next| next - 1);
        let mut row: Vec<Piece> = pieces
            .iter()
            .copied()
            .filter(|piece| start <= piece.start && piece.end <= end)
            .collect();
        while row.len() > 1 {
            row = row
                .chunks(2)
                .map(|pair| merge(shards, pair, now_ms))
                .collect();
        }
    }
}

/// The first hash key of each of `count` equal ranges.
///
/// The last range gets the remainder, as in the service.
fn bounds(count: u32) -> Vec<u128> {
    let count = u128::from(count.max(1));
    // 2^128 / count, computed without 2^128; not used for a single range.
    let size = (u128::MAX / count).wrapping_add(u128::from(u128::MAX % count == count - 1));
    (0..count).map(|at| at.saturating_mul(size)).collect()
}

/// Splits a piece at the hash keys `inside`, halving the list at each step so that the tree of
/// shards stays shallow.
///
/// Halving keeps the number of generations small: a reader follows them one after the other.
fn split(
    shards: &mut Vec<Shard>,
    piece: Piece,
    inside: &[u128],
    now_ms: u64,
    pieces: &mut Vec<Piece>,
) {
    let middle = inside.len() / 2;
    let Some(&at) = inside.get(middle) else {
        pieces.push(piece);
        return;
    };
    close(shards, piece, now_ms);
    let low = add(shards, (piece.start, at - 1), piece, None, now_ms);
    let high = add(shards, (at, piece.end), piece, None, now_ms);
    split(shards, low, &inside[..middle], now_ms, pieces);
    split(shards, high, &inside[middle + 1..], now_ms, pieces);
}

/// Merges the one or two pieces of `pair`.
///
/// With an odd number of pieces the last one waits for the next round.
fn merge(shards: &mut Vec<Shard>, pair: &[Piece], now_ms: u64) -> Piece {
    match *pair {
        [low, high] => {
            close(shards, low, now_ms);
            close(shards, high, now_ms);
            let deeper = if high.depth > low.depth { high } else { low };
            add(
                shards,
                (low.start, high.end),
                Piece {
                    depth: deeper.depth,
                    ..low
                },
                Some(high),
                now_ms,
            )
        }
        _ => pair[0],
    }
}

/// Closes a shard now: its last sequence number is the greatest that it could have.
fn close(shards: &mut [Shard], piece: Piece, now_ms: u64) {
    let shard = &mut shards[piece.shard];
    let created_ms = Origin::of(shard).map_or(0, |origin| origin.created_ms);
    shard.sequence_number_range.ending_sequence_number = Some(stringify_sequence(&SeqObj {
        shard_create_time: created_ms,
        seq_ix: Some(MAX_SEQ_IX),
        byte1: None,
        seq_time: Some(now_ms),
        seq_rand: None,
        shard_ix: i64::try_from(piece.shard).unwrap_or(i64::MAX),
        version: 2,
    }));
}

/// Adds an open shard below one or two parents.
fn add(
    shards: &mut Vec<Shard>,
    (start, end): (u128, u128),
    parent: Piece,
    adjacent: Option<Piece>,
    now_ms: u64,
) -> Piece {
    let at = shards.len();
    let index = i64::try_from(at).unwrap_or(i64::MAX);
    let depth = parent.depth + 1;
    // One second per step, so that a child's sequence numbers are greater than its parents'.
    let origin = Origin {
        shard: index,
        created_ms: now_ms + 1_000 * depth,
    };
    let id = |piece: Piece| shards[piece.shard].shard_id.clone();
    let shard = Shard {
        shard_id: shard_id_name(index),
        hash_key_range: HashKeyRange::new(start.to_string(), end.to_string()),
        sequence_number_range: SequenceNumberRange {
            starting_sequence_number: origin.sequence(0, origin.created_ms),
            ending_sequence_number: None,
        },
        parent_shard_id: Some(id(parent)),
        adjacent_parent_shard_id: adjacent.map(id),
    };
    shards.push(shard);
    Piece {
        shard: at,
        start,
        end,
        depth,
    }
}
