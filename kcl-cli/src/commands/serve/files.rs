//! The files of the page, compiled into the program.

/// The type without which a browser refuses a script, because of `nosniff`.
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The files of the page: path, type, text.
///
/// They are in the program, so there is no folder to install and no version to mix up.
pub(super) const FILES: [(&str, &str, &str); 9] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("page/index.html"),
    ),
    (
        "/page.css",
        "text/css; charset=utf-8",
        include_str!("page/page.css"),
    ),
    ("/page.js", JAVASCRIPT, include_str!("page/page.js")),
    ("/chart.js", JAVASCRIPT, include_str!("page/chart.js")),
    ("/draw.js", JAVASCRIPT, include_str!("page/draw.js")),
    ("/shards.js", JAVASCRIPT, include_str!("page/shards.js")),
    ("/letters.js", JAVASCRIPT, include_str!("page/letters.js")),
    ("/change.js", JAVASCRIPT, include_str!("page/change.js")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];
