//! Charts as SVG: axes, and marks between them.

use maud::{Markup, html};

use crate::words::{
    foreign::short,
    numbers::{fixed, number},
};

/// Size of a chart in its own units, of which a letter is about 12 high; what the page makes of it is the style sheet's affair.
const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 265.0;
/// Room for the axes.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 48.0;

/// Most marks on a line that say their value.
const MOST_TARGETS: usize = 40;

/// What a series looks like: each has its own colour, and marks of its own shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Blue, solid, circles.
    One,
    /// Orange, dashed, crosses.
    Two,
    /// Green, dotted, circles.
    Three,
    /// Grey: for what is there for orientation.
    Quiet,
}

impl Look {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Two => "two",
            Self::Three => "three",
            Self::Quiet => "quiet",
        }
    }
}

/// One direction of a chart.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    label: String,
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Axis {
    /// An axis that shows `low` to `high`.
    pub(super) fn new(label: impl Into<String>, low: f64, high: f64) -> Self {
        let (low, high) = if low.is_finite() && high.is_finite() { (low.min(high), high.max(low)) } else { (0.0, 1.0) };
        // Something constant lies in the middle.
        let room = if high - low > 1e-9 * low.abs().max(high.abs()) { 0.0 } else { 0.5 * low.abs().max(1e-6) };
        Self { label: label.into(), low: low - room, high: high + room, logarithmic: false }
    }

    /// An axis that shows all finite values, with a little room.
    pub(super) fn over(label: impl Into<String>, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let room = 0.04 * (high - low);
        Self::new(label, low - room, high + room)
    }

    /// A logarithmic axis; both ends above 0.
    pub(super) fn logarithmic(label: impl Into<String>, low: f64, high: f64) -> Self {
        Self { logarithmic: true, ..Self::new(label, libm::log10(low), libm::log10(high)) }
    }

    /// Where a value lies, 0 to 1 for those that the axis shows.
    fn place(&self, value: f64) -> f64 {
        let value = if self.logarithmic { libm::log10(value) } else { value };
        (value - self.low) / (self.high - self.low)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        let range = self.high - self.low;
        if self.logarithmic {
            let step = (range / 5.0).ceil().max(1.0);
            let first = (self.low / step).ceil() as i32;
            let last = (self.high / step).floor() as i32;
            let decades = (first..=last).map(|tick| 10f64.powi((f64::from(tick) * step) as i32));
            return decades.map(|value| (value, number(value))).collect();
        }
        let step = step(range / 6.5);
        let digits = (-libm::log10(step).floor()).clamp(0.0, 6.0) as usize;
        let largest = self.low.abs().max(self.high.abs());
        let label = |value: f64| {
            if (1e-4..1e5).contains(&largest) { fixed(value, digits) } else { number(value) }
        };
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        // A nudge makes −0 a 0.
        (first..=last).map(|tick| tick as f64 * step + 0.0).map(|value| (value, label(value))).collect()
    }
}

/// The next larger of 1, 2, 5, 10, 20 …
pub(super) fn step(rough: f64) -> f64 {
    let power = 10f64.powi(libm::log10(rough).floor() as i32);
    [1.0, 2.0, 5.0].map(|nice| nice * power).into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power)
}

/// A value with what is said of it when it is pointed at; nothing, where it is only drawn.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) tip: String,
}

/// A chart of two axes.
#[derive(Debug)]
pub(super) struct Chart {
    x: Axis,
    y: Axis,
    /// From back to front.
    marks: Vec<Markup>,
    /// Labels, in front of everything.
    labels: Vec<Markup>,
}

impl Chart {
    pub(super) fn new(x: Axis, y: Axis) -> Self {
        Self { x, y, marks: Vec::new(), labels: Vec::new() }
    }

    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let far = |share: f64| share.clamp(-20.0, 20.0);
        (
            LEFT + far(self.x.place(x)) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - far(self.y.place(y)) * (HEIGHT - TOP - BOTTOM),
        )
    }

    fn push(&mut self, look: Look, marks: Markup) {
        self.marks.push(html! { g class=(format!("series {}", look.class())) { (marks) } });
    }

    /// A line through points, broken where one is not finite.
    pub(super) fn line(&mut self, look: Look, points: impl Iterator<Item = (f64, f64)>) {
        let mut path = String::new();
        let (mut pen_down, mut last) = (false, (f64::NAN, f64::NAN));
        for (x, y) in points {
            if !(x.is_finite() && y.is_finite()) {
                pen_down = false;
                continue;
            }
            let (x, y) = self.place(x, y);
            // Within half a unit nobody sees a difference.
            if pen_down && (x - last.0).abs() < 0.5 && (y - last.1).abs() < 0.5 {
                continue;
            }
            path += &format!("{}{x:.1} {y:.1}", if pen_down { "L" } else { "M" });
            (pen_down, last) = (true, (x, y));
        }
        self.push(look, html! { path class="line" d=(path) {} });
    }

    /// A closed line.
    pub(super) fn outline(&mut self, look: Look, points: impl Iterator<Item = (f64, f64)>) {
        let points: Vec<String> =
            points.map(|(x, y)| self.place(x, y)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.push(look, html! { polygon class="outline" points=(points.join(" ")) {} });
    }

    /// The area between two lines: `(x, low, high)`.
    pub(super) fn band(&mut self, look: Look, points: &[(f64, f64, f64)]) {
        let low = points.iter().map(|(x, low, _)| (*x, *low));
        let high = points.iter().rev().map(|(x, _, high)| (*x, *high));
        let places: Vec<String> =
            low.chain(high).map(|(x, y)| self.place(x, y)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.push(look, html! { polygon class="band" points=(places.join(" ")) {} });
    }

    /// Points; outside the axes they are drawn at the edge.
    pub(super) fn points(&mut self, look: Look, marks: &[Mark]) {
        let places = marks.iter().map(|mark| {
            let (x, y) = self.place(mark.x, mark.y);
            (x.clamp(LEFT, WIDTH - RIGHT), y.clamp(TOP, HEIGHT - BOTTOM), &mark.tip)
        });
        let marks = html! {
            @for (x, y, tip) in places {
                @if look == Look::Two {
                    path class="point" d=(format!("M{:.1} {:.1}l5 5m0-5l-5 5", x - 2.5, y - 2.5)) { title { (tip) } }
                } @else {
                    circle class="point" cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="2.6" { title { (tip) } }
                }
            }
        };
        self.push(look, marks);
    }

    /// Nothing to see, but something to point at; of many, evenly spaced ones.
    pub(super) fn targets(&mut self, look: Look, marks: &[Mark]) {
        let step = marks.len().div_ceil(MOST_TARGETS).max(1);
        let marks = html! {
            @for Mark { x, y, tip } in marks.iter().step_by(step).filter(|mark| mark.y.is_finite()) {
                @let (x, y) = self.place(*x, *y);
                circle class="target" cx=(format!("{x:.1}")) cy=(format!("{:.1}", y.clamp(TOP, HEIGHT - BOTTOM))) r="7" {
                    title { (tip) }
                }
            }
        };
        self.push(look, marks);
    }

    /// Columns from the horizontal axis up: `(from, to, height, tip)`.
    pub(super) fn columns(&mut self, look: Look, columns: &[(f64, f64, f64, String)]) {
        let marks = html! {
            @for (from, to, height, tip) in columns.iter().filter(|(_, _, height, _)| *height > 0.0) {
                @let ((left, top), (right, bottom)) = (self.place(*from, *height), self.place(*to, self.y.low));
                rect class="column" x=(format!("{left:.1}")) y=(format!("{top:.1}")) width=(format!("{:.1}", right - left))
                    height=(format!("{:.1}", (bottom - top).max(0.5))) { title { (tip) } }
            }
        };
        self.push(look, marks);
    }

    /// A vertical line at `x`, with a label at its top.
    pub(super) fn rule(&mut self, x: f64, label: &str) {
        let share = self.x.place(x);
        if !(0.0..=1.0).contains(&share) {
            return;
        }
        let x = LEFT + share * (WIDTH - LEFT - RIGHT);
        // Towards the side that has room.
        let (anchor, at) = match share {
            0.0..0.3 => ("start", LEFT.max(x - 40.0)),
            0.7..=1.0 => ("end", (WIDTH - RIGHT).min(x + 40.0)),
            _ => ("middle", x),
        };
        self.labels.push(html! {
            line class="rule" x1=(format!("{x:.1}")) x2=(format!("{x:.1}")) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
            text class="note" x=(format!("{at:.1}")) y=(TOP - 7.0) text-anchor=(anchor) { (label) }
        });
    }

    /// A range of `x` that is shaded from top to bottom.
    pub(super) fn zone(&mut self, from: f64, to: f64) {
        let edges = [from, to].map(|x| LEFT + self.x.place(x).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT));
        self.marks.push(html! {
            rect class="zone" x=(format!("{:.1}", edges[0])) y=(TOP) width=(format!("{:.1}", (edges[1] - edges[0]).max(1.0)))
                height=(HEIGHT - TOP - BOTTOM) {}
        });
    }

    /// A straight line between two points, for orientation.
    pub(super) fn guide(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.line(Look::Quiet, [from, to].into_iter());
    }

    /// The chart; `id` is unique on the page, `text` names the elements that say what it shows.
    pub(super) fn draw(self, id: &str, text: &str) -> Markup {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let clip = format!("{id}-clip");
        let middle = (LEFT + right) / 2.0;
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-labelledby=(text) {
                clipPath id=(clip) { rect x=(LEFT) y=(TOP) width=(right - LEFT) height=(bottom - TOP) {} }
                g class="axis" {
                    @for (value, label) in self.y.ticks() {
                        @let y = format!("{:.1}", bottom - self.y.place(value) * (bottom - TOP));
                        line class="grid" x1=(LEFT) x2=(right) y1=(y) y2=(y) {}
                        text x=(LEFT - 6.0) y=(y) dy="0.35em" text-anchor="end" { (label) }
                    }
                    @for (value, label) in self.x.ticks() {
                        @let x = format!("{:.1}", LEFT + self.x.place(value) * (right - LEFT));
                        line x1=(x) x2=(x) y1=(bottom) y2=(bottom + 4.0) {}
                        text x=(x) y=(bottom + 17.0) text-anchor="middle" { (label) }
                    }
                    line x1=(LEFT) x2=(right) y1=(bottom) y2=(bottom) {}
                    text class="label" x=(middle) y=(HEIGHT - 8.0) text-anchor="middle" { (self.x.label) }
                    text class="label" transform=(format!("translate(13 {}) rotate(-90)", (TOP + bottom) / 2.0))
                        text-anchor="middle" { (short(&self.y.label, 30)) }
                }
                g clip-path=(format!("url(#{clip})")) { @for marks in self.marks { (marks) } }
                @for label in self.labels { (label) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_on_the_axis() {
        let labels = |axis: Axis| axis.ticks().into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(Axis::new("", -0.2, 1.05)), ["−0.2", "0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(Axis::new("", 0.0, 120.0)), ["0", "20", "40", "60", "80", "100", "120"]);
        assert_eq!(labels(Axis::new("", 1e9, 3e9)), ["1·10⁹", "1.5·10⁹", "2·10⁹", "2.5·10⁹", "3·10⁹"]);
        assert_eq!(labels(Axis::logarithmic("", 0.02, 2e4)), ["1", "100", "10000"]);
        // What is constant, and what there is none of, has an axis all the same.
        for axis in [Axis::new("", 7.0, 7.0), Axis::over("", [0.0].into_iter()), Axis::over("", std::iter::empty())] {
            assert!(axis.high > axis.low && !axis.ticks().is_empty(), "{axis:?}");
        }
    }

    #[test]
    fn lines_break_where_a_value_is_missing_and_stay_on_the_page() {
        let mut chart = Chart::new(Axis::new("", 0.0, 3.0), Axis::new("", 0.0, 1.0));
        let points = [(0.0, 0.0), (1.0, 1.0), (2.0, f64::NAN), (3.0, 1e300)];
        chart.line(Look::One, points.into_iter());
        let (left, right, top, bottom) = (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM);
        let third = left + (right - left) / 3.0;
        let far = bottom - 20.0 * (bottom - top);
        let path = format!("M{left:.1} {bottom:.1}L{third:.1} {top:.1}M{right:.1} {far:.1}");
        assert!(chart.draw("c", "c").into_string().contains(&path), "{path}");
    }
}
