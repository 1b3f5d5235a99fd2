//! What the page is put together from: its frame, figures, tables.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::chart::Look;
use crate::words::{count, short};

/// Most rows of a table; of longer ones, evenly spaced rows are shown.
const MOST_ROWS: usize = 40;

/// Nothing may be loaded, whatever a name in the data says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// The whole page: a title, and sections of (identifier, heading, contents).
pub(super) fn page(title: &str, subtitle: &str, sections: &[(&str, &str, Markup)]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(concat!("vae-train ", env!("CARGO_PKG_VERSION")));
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                a class="skip" href="#summary" { "To the summary" }
                header {
                    h1 { (title) }
                    button type="button" id="theme" hidden { "Dark theme" }
                    p { (subtitle) }
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
                script { (PreEscaped(include_str!("script.js"))) }
            }
        }
    };
    page.into_string()
}

/// A chart with all that makes it readable.
#[derive(Debug)]
pub(super) struct Figure<'a> {
    /// Unique on the page.
    pub(super) id: &'a str,
    pub(super) title: String,
    /// One sentence on how to read it.
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
                    p class="reading" { strong { "How to read it: " } (reading) }
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
