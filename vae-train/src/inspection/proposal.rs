//! How long a window is proposed for rows that depend on each other.

use crate::{statistics::pieces::usual_length, tables::long_table::LongTable};

/// Shortest window that is proposed for dependent rows, and the longest.
const LEAST_WINDOW: usize = 8;
const MOST_WINDOW: usize = 1024;
/// Most values in a proposed window that holds a period: beyond, a model of 64 KiB has room for layers of 8 units only.
const MOST_VALUES_OF_A_PERIOD: usize = 1024;
/// Most values in a proposed window where none stands out, and longer ones show little more: 64 KiB have room for layers of 64.
const MOST_VALUES: usize = 256;
/// A table has at least so many times the rows of a proposed window.
const WINDOWS_PER_TABLE: usize = 10;
/// The recordings that it is mostly made of have at least so many times the rows of one, where there are several.
const WINDOWS_PER_PIECE: usize = 2;

/// How much there is of a table.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    rows: usize,
    columns: usize,
    /// Rows of the recordings that it is mostly made of, where there are several.
    piece: Option<usize>,
}

impl Shape {
    pub(crate) fn of(table: &LongTable<'_>, columns: usize) -> Self {
        let rows = table.rows();
        let piece = (!table.starts().is_empty()).then(|| usual_length(rows, table.starts()));
        Self { rows, columns, piece }
    }
}

/// The window for rows that depend on each other, of a table of this shape, and why.
pub(crate) fn window(period: Option<usize>, span: usize, lags: usize, shape: Shape) -> (usize, String) {
    let Shape { rows, columns, piece } = shape;
    let wanted = period.unwrap_or(2 * span).next_power_of_two().max(LEAST_WINDOW);
    let most_values = if period.is_some() { MOST_VALUES_OF_A_PERIOD } else { MOST_VALUES };
    let by_width = power_of_two_up_to(most_values / columns.max(1));
    let by_rows = power_of_two_up_to(rows / WINDOWS_PER_TABLE);
    let by_piece = piece.map_or(MOST_WINDOW, |rows| power_of_two_up_to(rows / WINDOWS_PER_PIECE));
    let window = wanted.min(by_width).min(by_rows).min(by_piece).min(MOST_WINDOW);
    let mut reason = match period {
        Some(period) if window >= period => format!(
            "the strongest period is {period} samples; {window} holds {:.1} of them",
            window as f64 / period as f64
        ),
        Some(period) => format!("the strongest period is {period} samples"),
        None if span == lags => format!(
            "rows depend on those {lags} and more before them, and no period stands out: a drift that is slower than any \
             window, or more samples a second than are of use"
        ),
        None => format!("rows depend on those up to {span} before them, and no period stands out"),
    };
    if window < wanted {
        let limit = if window == by_rows {
            format!("{rows} rows make few windows of more than {window}")
        } else if let (Some(rows), true) = (piece, window == by_piece) {
            format!("pieces of {rows} rows hold few windows of more than {window}")
        } else if window == by_width {
            format!("a model of 64 KiB has no room for more than {window} samples of {columns} columns")
        } else {
            format!("longer windows than {window} make large models")
        };
        reason = format!("{reason}; {limit}");
    }
    (window, reason)
}

/// The largest power of two that is not above `limit`; 1 for 0.
fn power_of_two_up_to(limit: usize) -> usize {
    1 << limit.max(1).ilog2()
}
