//! Whether what was measured keeps its limit.

use std::time::Duration;

use tests::fleet::Figure;

#[test]
fn a_limit_holds_when_the_greatest_value_keeps_it() {
    let millis = |values: &[u64]| {
        values
            .iter()
            .map(|value| Duration::from_millis(*value))
            .collect::<Vec<_>>()
    };
    let figure = Figure::times("x", &millis(&[300, 100, 200]), Duration::from_millis(300));
    assert!(figure.holds());
    assert_eq!((figure.median(), figure.max()), (0.2, 0.3));
    assert!(!Figure::times("x", &millis(&[300, 100]), Duration::from_millis(299)).holds());
    assert!(
        !Figure::times("x", &[], Duration::from_secs(1)).holds(),
        "nothing was measured"
    );
    assert!(Figure::counts("x", &[0, 0], 0).holds() && !Figure::counts("x", &[0, 1], 0).holds());
    assert!(Figure::stated("x", 17.0).holds());
}
