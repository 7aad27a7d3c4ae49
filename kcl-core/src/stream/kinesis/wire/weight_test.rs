//! What a page takes while it is read. The byte budget asks for as much before a call.

use bytes::Bytes;

use crate::model::{RawRecord, Record};

use super::super::page_pool::PagePool;
use super::super::read::MEMORY_WHILE_READING_CBOR;
use super::{NextMember, page_of};

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&[0x78, u8::try_from(text.len()).unwrap()]);
    body.extend_from_slice(text.as_bytes());
}

/// A page as the service writes it, of records of this size.
fn page(records: usize, size: usize) -> Bytes {
    let mut body = Vec::with_capacity(records * (size + 250));
    body.push(0xBF);
    text(&mut body, "Records");
    body.push(0x9F);
    for number in 0..records {
        body.push(0xBF);
        text(&mut body, "SequenceNumber");
        text(
            &mut body,
            &format!("4959033827149025660855969253836157{number:022}"),
        );
        text(&mut body, "ApproximateArrivalTimestamp");
        body.extend_from_slice(b"\xC1\x1B\x00\x00\x01\x8B\xCF\xE5\x68\x00");
        text(&mut body, "Data");
        body.push(0x5A);
        body.extend_from_slice(&u32::try_from(size).unwrap().to_be_bytes());
        body.resize(body.len() + size, 7);
        text(&mut body, "PartitionKey");
        text(&mut body, &format!("customer-{number}"));
        body.push(0xFF);
    }
    body.extend_from_slice(b"\xFF\xFF");
    body.into()
}

/// Bytes of this process, of which the kernel tells in KiB.
fn process(what: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .unwrap();
    kib.parse::<usize>().unwrap() * 1024
}

/// `cargo test --release -p kcl-core --lib while_it_is_read -- --ignored --nocapture`
#[test]
#[ignore = "measures the memory of the process: to be run alone, on Linux"]
#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn a_page_in_cbor_takes_no_more_than_said_while_it_is_read() {
    for (records, size) in [
        (10_000, 10),
        (10_000, 100),
        (10_000, 1_000),
        (1_000, 10_000),
        (10, 1_000_000),
    ] {
        let body = page(records, size);
        // The peak is counted from now on.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = process("VmRSS:");
        let (read, _) =
            page_of(None, &body, NextMember::NextShardIterator, &PagePool::new()).unwrap();
        let peak = process("VmHWM:") - before + body.len();
        let afterwards: usize = read.records.iter().map(RawRecord::occupied).sum();
        let afterwards = afterwards + records * size_of::<Record>();
        let ratio = peak as f64 / afterwards as f64;
        println!("{records} records of {size} bytes: {ratio:.2} times the page");
        assert!(ratio <= MEMORY_WHILE_READING_CBOR, "{ratio}");
    }
}
