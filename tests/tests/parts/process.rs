//! What the operating system says of a process.

use std::time::Duration;

use examples::process::{ProcessStart, peak_of, peak_rss_kib, start_of};

#[test]
fn the_start_is_found_behind_any_program_name() {
    let stat = "42 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 2500 20";
    assert_eq!(start_of(stat, 100), Some(Duration::from_secs(25)));
    assert_eq!(start_of("42 (x) S 1", 100), None);
}

#[test]
fn this_process_began_before_now_and_has_used_memory() {
    let elapsed = ProcessStart::get().elapsed();
    assert!(elapsed < Duration::from_secs(3600), "{elapsed:?}");
    if cfg!(target_os = "linux") {
        assert!(peak_rss_kib().is_some_and(|peak| peak > 100));
    }
    assert_eq!(peak_of("VmPeak:\t 9 kB\nVmHWM:\t    1234 kB\n"), Some(1234));
}
