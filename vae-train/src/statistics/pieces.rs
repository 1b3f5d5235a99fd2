//! Series that are made of several recordings, one behind the other.

use std::ops::Range;

/// The recordings that a series of so many values is made of; `starts` are the places, ascending and above 0, at which another one begins.
pub(crate) fn pieces(starts: &[usize], values: usize) -> impl ExactSizeIterator<Item = Range<usize>> + Clone + '_ {
    (0..starts.len() + 1).map(move |piece| {
        let start = piece.checked_sub(1).map_or(0, |before| starts[before]);
        start..starts.get(piece).copied().unwrap_or(values)
    })
}

/// Of some ascending places in a series, the indices of those before which, since the one before them, another recording has begun.
pub(crate) fn starts_among(places: &[usize], starts: &[usize]) -> Vec<usize> {
    let mut among: Vec<usize> = starts.iter().map(|start| places.partition_point(|place| place < start)).collect();
    among.retain(|index| (1..places.len()).contains(index));
    among.dedup();
    among
}

/// The greatest length that the recordings of half of all values have at least.
pub(crate) fn usual_length(values: usize, starts: &[usize]) -> usize {
    let mut lengths: Vec<usize> = pieces(starts, values).map(|piece| piece.len()).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    let mut so_far = 0;
    let usual = lengths.into_iter().find(|length| {
        so_far += length;
        2 * so_far >= values
    });
    usual.unwrap_or(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lie_one_behind_the_other() {
        assert!(pieces(&[], 5).eq(std::iter::once(0..5)));
        assert_eq!(pieces(&[2, 3], 5).collect::<Vec<_>>(), [0..2, 2..3, 3..5]);
        assert!(pieces(&[], 0).eq(std::iter::once(0..0)));
    }

    #[test]
    fn the_usual_length_is_that_of_the_recordings_of_half_of_the_values() {
        for (starts, expected) in [(&[1, 2, 3][..], 7), (&[6], 6), (&[5], 5), (&[4, 7], 3), (&[], 10)] {
            assert_eq!(usual_length(10, starts), expected, "{starts:?}");
        }
    }

    #[test]
    fn starts_are_found_again_among_the_places_that_are_left() {
        // Of rows 3, 5, 9 and 12, another recording has begun before 5, by two of them before 12, and none behind it.
        assert_eq!(starts_among(&[3, 5, 9, 12], &[2, 4, 10, 11, 13]), [1, 3]);
        assert!(starts_among(&[4, 7], &[4]).is_empty(), "the first place has none before it");
        assert!(starts_among(&[], &[4]).is_empty());
    }
}
