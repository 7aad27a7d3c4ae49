//! The de-aggregator under any bytes. The corpus is in `__fuzz__/deaggregator/corpus`.

#[test]
fn any_bytes_decode_as_elsewhere_or_come_out_unchanged() {
    bolero::check!(name = "deaggregator").for_each(|input: &[u8]| fuzz::deaggregator(input));
}
