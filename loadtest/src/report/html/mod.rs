//! A run as one HTML page that needs nothing but itself.
//!
//! *Self-contained.* No font, image or script comes from elsewhere, and a content security policy forbids all that
//! is not the page's own style and script, by their digests: should an escape ever be missed, it shows and does not run.
//!
//! *Without the script* everything is there but the numbers beside the pointer.

mod details;
mod header;
mod oracle;
mod percentiles;
mod plot;
mod scale;
mod seconds;
mod text;
mod tones;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::measure::Report;

use plot::Plot;
use text::escaped;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("hover.js");

/// Draws a run; with a baseline, its curves are dashed and a table says what changed.
pub fn html(report: &Report, baseline: Option<&Report>) -> String {
    let body = [
        header::header(report, baseline),
        baseline.map(|old| details::changed(old, report)).unwrap_or_default(),
        section(
            "Latency",
            "No request ended well, so there is no latency to draw.",
            [percentiles::latency(report, baseline), percentiles::latency_of_groups(report)],
        ),
        section(
            "Over time",
            "Nothing was sent.",
            [
                seconds::outcomes(report),
                seconds::p99(report),
                seconds::answers(report),
                seconds::refusals(report),
            ],
        ),
        streams(report, baseline),
        format!("<section><h2>Oracle</h2>{}</section>\n", oracle::panel(report.oracle.as_ref())),
        details::groups(report),
        details::answers(report),
        details::around(report),
        details::origin(report),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        policy = security_policy(),
        title = escaped(&format!("{}, {}", report.about.scenario, report.about.started)),
        body = body.concat(),
    )
}

/// A heading with plots, or with the reason why there are none.
fn section<const N: usize>(title: &str, without: &str, plots: [Option<Plot>; N]) -> String {
    let plots: String = plots.into_iter().flatten().map(|plot| plot.html()).collect();
    let plots = match plots.is_empty() {
        true => format!("<p class=\"quiet\">{without}</p>"),
        false => format!("<div class=\"plots\">{plots}</div>"),
    };
    format!("<section><h2>{title}</h2>{plots}</section>\n")
}

/// Streams, if there were any.
fn streams(report: &Report, baseline: Option<&Report>) -> String {
    let plots = [percentiles::first_token(report, baseline), percentiles::token_gap(report, baseline)];
    if plots.iter().all(Option::is_none) { String::new() } else { section("Streams", "", plots) }
}

fn security_policy() -> String {
    let sha256 = |text: &str| STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        sha256(STYLE),
        sha256(SCRIPT)
    )
}
