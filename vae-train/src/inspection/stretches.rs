//! Which rows of a long table are correlated with those before them.

use std::ops::Range;

use crate::statistics::pieces::pieces;

/// Longest stretch of rows that is correlated with itself, and how many are taken of a longer table, evenly spaced.
const WHOLE: usize = 16_384;
const STRETCH: usize = 4096;
const MOST_STRETCHES: usize = 8;
/// The rows that are correlated, in stretches none of which is more than twice as long as another or spans two recordings.
pub(crate) fn stretches(rows: usize, starts: &[usize]) -> Vec<Range<usize>> {
    if starts.is_empty() {
        return of_recording(rows);
    }
    let longest = pieces(starts, rows).map(|piece| of_recording(piece.len())[0].len()).max().unwrap_or(0);
    let in_piece = |piece: Range<usize>| {
        of_recording(piece.len()).into_iter().map(move |rows| piece.start + rows.start..piece.start + rows.end)
    };
    let all: Vec<Range<usize>> =
        pieces(starts, rows).flat_map(in_piece).filter(|stretch| 2 * stretch.len() >= longest).collect();
    let some = (MOST_STRETCHES * STRETCH / longest.max(1)).clamp(1, all.len().max(1));
    (0..some).filter_map(|index| all.get(index * all.len() / some).cloned()).collect()
}

/// The rows of one recording that are correlated, in stretches of equal length.
fn of_recording(rows: usize) -> Vec<Range<usize>> {
    if rows <= WHOLE {
        return std::iter::once(0..rows).collect();
    }
    let count = (rows / STRETCH).min(MOST_STRETCHES);
    (0..count).map(|index| index * (rows - STRETCH) / (count - 1)).map(|start| start..start + STRETCH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_recording_is_taken_whole_or_in_evenly_spaced_stretches() {
        assert_eq!(stretches(WHOLE, &[]), vec![0..WHOLE; 1]);
        let some = stretches(100_000, &[]);
        assert_eq!((some.len(), some[0].clone(), some[7].clone()), (8, 0..STRETCH, 100_000 - STRETCH..100_000));
    }

    #[test]
    fn no_stretch_spans_two_recordings_and_short_ones_are_left_out() {
        assert_eq!(stretches(350, &[150, 200]), [0..150, 200..350]);
        let starts: Vec<usize> = (1..1000).map(|piece| 150 * piece).collect();
        let some = stretches(150_000, &starts);
        assert_eq!((some.len(), some.iter().all(|rows| rows.len() == 150 && rows.start % 150 == 0)), (218, true));
        let long = stretches(200_000, &[100_000]);
        assert_eq!(long.len(), 8);
        assert!(long.iter().all(|rows| rows.len() == STRETCH && (rows.end <= 100_000 || rows.start >= 100_000)));
    }
}
