//! Horizontal bars, one row a name.

use maud::{Markup, html};

use super::chart::{Look, step};
use crate::words::{foreign::short, numbers::number};

const WIDTH: f64 = 380.0;
/// Room for names; longer ones are cut, the table beside has them whole.
const LEFT: f64 = 126.0;
const NAME: usize = 17;
const RIGHT: f64 = 18.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 42.0;
/// Of a bar; those of a row lie one below the other.
const THICK: f64 = 11.0;
const GAP: f64 = 10.0;

/// A bar from one value to another, and what is said of it.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) look: Look,
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) tip: String,
}

/// Named rows of bars over one axis.
#[derive(Clone, Debug)]
pub(super) struct Bars {
    pub(super) label: String,
    pub(super) rows: Vec<(String, Vec<Bar>)>,
}

impl Bars {
    /// The chart; `text` names the elements that say what it shows.
    pub(super) fn draw(&self, text: &str) -> Markup {
        let ends = || self.rows.iter().flat_map(|(_, bars)| bars).flat_map(|bar| [bar.from, bar.to]);
        let low = ends().fold(0.0, f64::min);
        let high = ends().fold(0.0, f64::max).max(low + f64::MIN_POSITIVE);
        let place = |value: f64| LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT);
        let row_height = |bars: &[Bar]| GAP + THICK * bars.len() as f64;
        let height = TOP + self.rows.iter().map(|(_, bars)| row_height(bars)).sum::<f64>() + BOTTOM;
        let bottom = height - BOTTOM;
        let ticks = ticks(low, high);
        let mut top = TOP;
        let rows: Vec<Markup> = self
            .rows
            .iter()
            .map(|(name, bars)| {
                let middle = top + row_height(bars) / 2.0;
                let row = html! {
                    text class="name" x=(LEFT - 6.0) y=(format!("{middle:.1}")) dy="0.35em" text-anchor="end" { (short(name, NAME)) }
                    @for (index, bar) in bars.iter().enumerate() {
                        @let (from, to) = (place(bar.from.min(bar.to)), place(bar.from.max(bar.to)));
                        g class=(format!("series {}", bar.look.class())) {
                            rect class="bar" x=(format!("{from:.1}")) width=(format!("{:.1}", (to - from).max(1.0)))
                                y=(format!("{:.1}", top + GAP / 2.0 + THICK * index as f64)) height=(THICK - 1.0) {
                                title { (bar.tip) }
                            }
                        }
                    }
                };
                top += row_height(bars);
                row
            })
            .collect();
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {height:.0}")) role="img" aria-labelledby=(text) {
                g class="axis" {
                    @for value in ticks {
                        @let x = format!("{:.1}", place(value));
                        line class="grid" x1=(x) x2=(x) y1=(TOP) y2=(bottom) {}
                        text x=(x) y=(bottom + 15.0) text-anchor="middle" { (number(value)) }
                    }
                    line x1=(place(0.0)) x2=(place(0.0)) y1=(TOP) y2=(bottom) {}
                    text class="label" x=(WIDTH / 2.0) y=(height - 6.0) text-anchor="middle" { (self.label) }
                }
                @for row in rows { (row) }
            }
        }
    }
}

/// Round values between the ends, few enough to stand side by side.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let step = step((high - low) / 4.0);
    ((low / step).ceil() as i64..=(high / step).floor() as i64).map(|tick| tick as f64 * step).collect()
}
