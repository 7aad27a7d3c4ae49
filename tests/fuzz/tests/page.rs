//! The reader of pages under any bytes. The corpus is in `__fuzz__/page/corpus`.

#[test]
fn any_bytes_are_the_page_that_others_read_or_none() {
    bolero::check!(name = "page").for_each(|input: &[u8]| fuzz::page(input));
}
