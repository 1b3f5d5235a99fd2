//! What the page is put together from: its frame, figures, tables.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use super::chart::Look;
use crate::words::{
    foreign::{escaped, short},
    numbers::count,
};

/// Most rows of a table; of longer ones, evenly spaced rows are shown.
const MOST_ROWS: usize = 40;

/// What the policy of a page lets run and apply: its own script and style by their hashes. Nothing may be loaded, whatever a name in the
/// data says.
///
/// # Source
/// W3C, Content Security Policy Level 3, section 6.7.3 (hashes of inline elements).
fn policy(style: &str, script: &str) -> String {
    let [style, script] = [style, script].map(|text| STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
}

/// The whole page: a title, and sections of (identifier, heading, contents).
pub(super) fn page(title: &str, subtitle: &str, sections: &[(&str, &str, Markup)]) -> String {
    // As the browser sees them: without the line ends of another system.
    let [style, script] = [include_str!("style.css"), include_str!("script.js")].map(|text| text.replace("\r\n", "\n"));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy(&style, &script));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(concat!("vae-train ", env!("CARGO_PKG_VERSION")));
                title { (title) }
                style { (PreEscaped(&style)) }
            }
            body {
                a class="skip" href="#summary" { "To the summary" }
                header {
                    h1 { (title) }
                    button type="button" id="theme" hidden { "Dark theme" }
                    p { (subtitle) }
                    p { strong { "How to read it: " } "below each chart's title stands what to look for, and " a href="#glossary" { "Words" } " has what is not plain." }
                }
                nav aria-label="Sections" {
                    ul { @for (id, heading, _) in sections { li { a href=(format!("#{id}")) { (heading) } } } }
                }
                main {
                    @for (id, heading, contents) in sections {
                        section id=(id) aria-labelledby=(format!("{id}-heading")) {
                            h2 id=(format!("{id}-heading")) { (heading) }
                            (contents)
                        }
                    }
                }
                footer { p { "Written by vae-train " (env!("CARGO_PKG_VERSION")) ". This file is complete in itself and loads nothing." } }
                div id="tip" role="status" hidden {}
                script { (PreEscaped(&script)) }
            }
        }
    };
    escaped(&page.into_string()).into_owned()
}

/// A chart with all that makes it readable.
#[derive(Debug)]
pub(super) struct Figure<'a> {
    /// Unique on the page.
    pub(super) id: &'a str,
    pub(super) title: String,
    /// One sentence on how to read it, which stands below the title.
    pub(super) reading: &'a str,
    /// What it shows, in words: for those who do not see it, and for those in a hurry.
    pub(super) shows: String,
    /// The series, which may be switched off.
    pub(super) legend: Vec<(Look, String)>,
    /// Empty for what has no numbers: pictures.
    pub(super) table: Table,
}

impl Figure<'_> {
    /// The figure around what `draw` makes of (identifier, names of the elements that describe it).
    pub(super) fn around(self, draw: impl FnOnce(&str, &str) -> Markup) -> Markup {
        let Self { id, title, reading, shows, legend, table } = self;
        let text = format!("{id}-title {id}-shows");
        html! {
            figure id=(id) {
                figcaption {
                    h3 id=(format!("{id}-title")) { (title) }
                    p class="reading" { (reading) }
                }
                @if !legend.is_empty() {
                    ul class="legend" {
                        @for (look, name) in &legend {
                            li {
                                button type="button" aria-pressed="true" data-series=(look.class()) class=(look.class()) { (name) }
                            }
                        }
                    }
                }
                div class="plot" tabindex="0" role="group" aria-label=(format!("{title}: chart; arrow keys go through its values")) {
                    (draw(id, &text))
                }
                p class="shows" id=(format!("{id}-shows")) { (shows) }
                @if !table.rows.is_empty() { details { summary { "The numbers" } (table.draw()) } }
            }
        }
    }
}

/// Rows of text under headings; the first column names the row.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(caption: impl Into<String>, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Self {
        let head = head.iter().map(|heading| (*heading).to_owned()).collect();
        Self { caption: caption.into(), head, rows: rows.into_iter().collect() }
    }

    pub(super) fn draw(&self) -> Markup {
        let step = self.rows.len().div_ceil(MOST_ROWS).max(1);
        html! {
            div class="scroll" tabindex="0" role="region" aria-label=(self.caption) {
                table {
                    caption {
                        (self.caption)
                        @if step > 1 { " (one row in " (step) ", of " (count(self.rows.len())) ")" }
                    }
                    thead { tr { @for heading in &self.head { th scope="col" { (heading) } } } }
                    tbody {
                        @for row in self.rows.iter().step_by(step) {
                            tr {
                                @for (index, cell) in row.iter().enumerate() {
                                    @if index == 0 { th scope="row" { (short(cell, 80)) } } @else { td { (short(cell, 200)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Names and what they stand for.
pub(super) fn facts(facts: &[(&str, String)]) -> Markup {
    html! { dl class="facts" { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } } }
}
