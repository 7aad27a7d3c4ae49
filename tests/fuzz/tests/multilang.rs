//! The lines of child processes under any bytes. The corpus is in `__fuzz__/multilang/corpus`.

#[test]
fn any_bytes_store_no_checkpoint_that_was_not_asked_for() {
    bolero::check!(name = "multilang").for_each(|input: &[u8]| fuzz::multilang(input));
}
