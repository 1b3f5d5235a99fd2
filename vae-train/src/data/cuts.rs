//! Where a recording is cut into a part to train on, one to calibrate on, and one to try the model on.

use anyhow::{Result, ensure};

use crate::{statistics::pieces::pieces, tables::table::Table};

/// A cut is moved to the end of a piece that is nearer than this share of the smallest part.
const NEAR: f64 = 0.25;

/// Shares of a recording, in the order of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares(pub [f64; 3]);

impl Default for Shares {
    fn default() -> Self {
        Self([60.0, 20.0, 20.0])
    }
}

/// The two rows before which a table is cut, so that the parts have about these shares of its rows: where a piece ends if one does nearby, and
/// never within an event, which is a run of rows labelled 1.
///
/// # Errors
/// If a part would have no row.
pub fn cuts(table: &Table, Shares(shares): Shares) -> Result<[usize; 2]> {
    let rows = table.rows();
    let all = shares.iter().sum::<f64>();
    let near = (NEAR * rows as f64 * shares.iter().copied().fold(all, f64::min) / all) as usize;
    let cut = |share: f64| {
        let target = (rows as f64 * share / all).round() as usize;
        let start = table.starts.iter().copied().min_by_key(|start| start.abs_diff(target));
        match start.filter(|start| start.abs_diff(target) <= near) {
            Some(start) => start,
            None => outside_events(table, target),
        }
    };
    let [first, second] = [cut(shares[0]), cut(shares[0] + shares[1])];
    ensure!(
        0 < first && first < second && second < rows,
        "{}: cuts before rows {} and {} of {rows} leave a part without rows, as no event and no short piece is cut: give other --shares, or a \
         longer recording",
        table.path.display(),
        first + 1,
        second + 1
    );
    Ok([first, second])
}

/// The row that is nearest to this one, and with which no event goes on.
fn outside_events(table: &Table, row: usize) -> usize {
    let Some(labels) = &table.labels else { return row };
    let Some(piece) = pieces(&table.starts, labels.len()).find(|piece| piece.start < row && row < piece.end) else {
        return row;
    };
    if !(labels[row - 1] && labels[row]) {
        return row;
    }
    let before = labels[piece.start..row].iter().rev().take_while(|label| **label).count();
    let behind = labels[row..piece.end].iter().take_while(|label| **label).count();
    if before <= behind { row - before } else { row + behind }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: usize, starts: &[usize], events: &[std::ops::Range<usize>]) -> Table {
        let labels = (0..rows).map(|row| events.iter().any(|event| event.contains(&row))).collect();
        Table {
            path: "t.csv".into(),
            columns: vec!["x".to_owned()],
            values: vec![0.0; rows],
            labels: (!events.is_empty()).then_some(labels),
            starts: starts.to_owned(),
            origins: Vec::new(),
        }
    }

    #[test]
    fn parts_have_their_shares_and_end_with_pieces_that_are_near() {
        let of = |starts: &[usize], shares: [f64; 3]| cuts(&table(1000, starts, &[]), Shares(shares)).unwrap();
        assert_eq!(of(&[], [60.0, 20.0, 20.0]), [600, 800]);
        assert_eq!(of(&[], [0.5, 0.25, 0.25]), [500, 750]);
        // A quarter of 200 rows is near.
        assert_eq!(of(&[100, 551, 849], [60.0, 20.0, 20.0]), [551, 849]);
        assert_eq!(of(&[100, 549, 851], [60.0, 20.0, 20.0]), [600, 800]);
    }

    #[test]
    fn no_event_is_cut() {
        let of = |starts: &[usize], events: &[std::ops::Range<usize>]| {
            cuts(&table(1000, starts, events), Shares::default()).unwrap()
        };
        assert_eq!(of(&[], &[590..650, 700..820]), [590, 820]);
        assert_eq!(of(&[], &[600..650, 700..800]), [600, 800], "events that begin or end there");
        // What goes on in the next piece is another event.
        assert_eq!(of(&[600], &vec![580..650; 1]), [600, 800]);
    }

    #[test]
    fn a_part_without_rows_is_refused() {
        let message = cuts(&table(1000, &[], &vec![500..1000; 1]), Shares::default()).unwrap_err().to_string();
        assert!(message.contains("leave a part without rows"), "{message}");
        assert!(cuts(&table(2, &[], &[]), Shares::default()).is_err());
    }
}
