//! Where the leases are, as the command line says it.

use examples::consume::LeaseTableAt;

#[test]
fn a_place_is_a_file_or_a_table() {
    assert_eq!("sqlite:a:b".parse(), Ok(LeaseTableAt::Sqlite("a:b".into())));
    assert_eq!("dynamo".parse(), Ok(LeaseTableAt::Dynamo(None)));
    assert_eq!(
        "dynamo:leases".parse(),
        Ok(LeaseTableAt::Dynamo(Some("leases".to_owned())))
    );
    for text in ["sqlite:a:b", "dynamo", "dynamo:leases"] {
        assert_eq!(text.parse::<LeaseTableAt>().unwrap().to_string(), text);
    }
    for wrong in [
        "",
        "leases.sqlite",
        "sqlite",
        "sqlite:",
        "dynamo:",
        "redis:x",
        "dynamodb",
    ] {
        assert!(wrong.parse::<LeaseTableAt>().is_err(), "{wrong}");
    }
}
