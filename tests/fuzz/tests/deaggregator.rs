//! The de-aggregator under any bytes. The corpus is in `__fuzz__/deaggregator/corpus`.

#[test]
fn any_bytes_come_out_as_another_decoder_finds_them_or_as_they_were_put() {
    bolero::check!(name = "deaggregator").for_each(|input: &[u8]| fuzz::deaggregator(input));
}
