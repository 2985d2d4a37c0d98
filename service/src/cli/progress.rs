//! Progress bars on standard error, where that is a terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar for `total` steps; it stays hidden where nobody looks.
pub fn bar(total: u64, what: &str) -> ProgressBar {
    styled(total, what, "{msg} {bar:40} {pos}/{len} {per_sec}")
}

/// A bar for `total` bytes.
pub fn bytes(total: u64, what: &str) -> ProgressBar {
    styled(total, what, "{msg} {bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")
}

fn styled(total: u64, what: &str, template: &str) -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total), target).with_style(style).with_message(what.to_owned())
}
