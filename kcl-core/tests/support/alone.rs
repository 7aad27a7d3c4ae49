use std::process::Command;

const NAME: &str = "KCL_TEST_ALONE";

/// Whether this process runs the test of this path (`module_path!()` and its name) and no other.
/// Where it does not, such a process is started and has to succeed. For what is the whole
/// process's: its log, its figures.
pub(crate) fn alone(path: &str) -> bool {
    let (_, test) = path
        .split_once("::")
        .expect("the path begins with the name of the crate");
    if std::env::var(NAME).as_deref() == Ok(test) {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(NAME, test)
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && out.contains("1 passed"),
        "{out}\n{err}"
    );
    false
}
