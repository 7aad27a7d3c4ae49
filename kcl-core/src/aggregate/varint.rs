//! Numbers as protobuf writes them: seven bits in each byte, and a set high bit in every byte but
//! the last.

/// The length of a number as a protobuf varint, in bytes. Sizes are computed with it before
/// anything is written, because the size decides whether a record still fits.
pub(super) const fn length(value: u64) -> usize {
    match value {
        0 => 1,
        _ => (value.ilog2() / 7 + 1) as usize,
    }
}

/// Appends a number as a protobuf varint: seven bits per byte, the lowest first.
#[expect(clippy::cast_possible_truncation, reason = "seven bits")]
pub(super) fn write(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_number_takes_as_many_bytes_as_its_length_says() {
        let edges = (0..64)
            .flat_map(|bit| [1_u64 << bit, (1_u64 << bit) - 1])
            .chain([u64::MAX]);
        for value in edges {
            let mut bytes = Vec::new();
            super::write(value, &mut bytes);
            assert_eq!(bytes.len(), super::length(value), "{value}");
        }
    }
}
