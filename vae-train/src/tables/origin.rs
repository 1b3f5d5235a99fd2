//! Columns whose changes are small beside their values, as of a frequency or a position: kept relative to an origin that is subtracted in 64
//! bits, because 32-bit numbers would hold few of the changes.

/// Rows that decide.
const ROWS: usize = 8192;
/// Most values that are kept for that.
const MOST_KEPT: usize = 1 << 20;
/// Fewest rows that decide, however many columns there are.
const LEAST_ROWS: usize = 16;
/// Spread of a column, relative to its size, below which it has an origin: 256 of the levels that `f32` has there.
const SPREAD: f64 = 1.0 / (1 << 16) as f64;
/// Integers above it are not all `f32`s.
const LARGEST_INTEGER: f64 = (1 << f32::MANTISSA_DIGITS) as f64;

/// The origins of a table's columns, decided by its first rows.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    /// Rows that decide.
    rows: usize,
    columns: usize,
    /// Values of the first rows, row after row, until it is decided.
    first: Vec<f64>,
    /// By column; empty where none has one, and until it is decided.
    origins: Vec<f64>,
    is_decided: bool,
}

impl Origins {
    /// Of so many columns.
    pub(crate) fn new(columns: usize) -> Self {
        let rows = ROWS.min(MOST_KEPT / columns.max(1)).max(LEAST_ROWS);
        Self { rows, columns, first: Vec::new(), origins: Vec::new(), is_decided: false }
    }

    /// Rows that decide.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// What is kept of the next value of a row, which is of this column: itself, as `f32` has it, or its difference from the origin. `exact`
    /// gives it in 64 bits, NaN where there is none.
    pub(crate) fn relative(&mut self, column: usize, value: f32, exact: impl FnOnce() -> f64) -> f32 {
        if !self.is_decided {
            self.first.push(exact());
            return value;
        }
        match self.of(column) {
            0.0 => value,
            origin => (exact() - origin) as f32,
        }
    }

    /// What is to be subtracted from a column's values before they become `f32`; 0 until it is decided, and where nothing is.
    pub(crate) fn of(&self, column: usize) -> f64 {
        self.origins.get(column).copied().unwrap_or(0.0)
    }

    /// To be called behind each row: decides once there are enough, and gives the values of columns with an origin anew, each with its place
    /// among all so far.
    pub(crate) fn row_ends(&mut self, write: impl FnMut(usize, f32)) {
        if !self.is_decided && self.first.len() >= self.rows * self.columns {
            self.decide(write);
        }
    }

    /// To be called behind the last row: decides by the rows that there are, if it is not decided, and gives values anew as
    /// [`Self::row_ends`] does.
    pub(crate) fn decide(&mut self, mut write: impl FnMut(usize, f32)) {
        if std::mem::replace(&mut self.is_decided, true) {
            return;
        }
        let first = std::mem::take(&mut self.first);
        let columns = self.columns;
        let origins: Vec<f64> = (0..columns)
            .map(|column| origin(&mut first.iter().skip(column).step_by(columns).copied().collect::<Vec<f64>>()))
            .collect();
        for (column, origin) in origins.iter().enumerate().filter(|(_, origin)| **origin != 0.0) {
            for (place, exact) in first.iter().enumerate().skip(column).step_by(columns) {
                write(place, (exact - origin) as f32);
            }
        }
        if origins.iter().any(|origin| *origin != 0.0) {
            self.origins = origins;
        }
    }

    /// The origins, one a column; empty where no column has one.
    pub(crate) fn into_vec(self) -> Vec<f64> {
        self.origins
    }
}

/// The origin of a column with these values: about their median, in as few digits as their spread allows; an integer for integers. 0 where
/// 32-bit numbers tell the values well enough, or where they are all the same.
fn origin(values: &mut Vec<f64>) -> f64 {
    values.retain(|value| value.is_finite());
    values.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| values.get((share * values.len().saturating_sub(1) as f64).round() as usize).copied();
    let (Some(median), Some(least), Some(largest)) = (at(0.5), at(0.0), at(1.0)) else { return 0.0 };
    // Most of the values, so that those which were not measured (as 0) decide nothing; all where most are the same.
    let spread = [(0.25, 0.75), (0.01, 0.99), (0.0, 1.0)]
        .into_iter()
        .filter_map(|(low, high)| Some(at(high)? - at(low)?))
        .find(|spread| *spread > 0.0);
    let Some(spread) = spread else { return 0.0 };
    let are_integers = values.iter().all(|value| value.fract() == 0.0);
    let is_too_fine = spread < SPREAD * median.abs();
    let are_too_large = are_integers && median.abs() > LARGEST_INTEGER && largest - least < LARGEST_INTEGER;
    if !(is_too_fine || are_too_large) {
        return 0.0;
    }
    // A power of ten not below the spread: dividing by the inverse of a small one gives the nearest number to a short decimal.
    let digits = libm::ceil(libm::log10(spread)).max(if are_integers { 0.0 } else { f64::NEG_INFINITY }) as i32;
    let rounded = if digits < 0 {
        let inverse = 10f64.powi(-digits);
        (median * inverse).round() / inverse
    } else {
        let unit = 10f64.powi(digits);
        (median / unit).round() * unit
    };
    if rounded.is_finite() { rounded } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: impl Fn(usize) -> f64) -> f64 {
        origin(&mut (0..1000).map(value).collect())
    }

    /// A triangle between −1 and 1.
    fn triangle(row: usize) -> f64 {
        (row % 200) as f64 / 50.0 - if row % 200 < 100 { 1.0 } else { 4.0 * ((row % 200) as f64 / 100.0) - 3.0 }
    }

    #[test]
    fn only_what_f32_cannot_tell_has_an_origin_which_is_short() {
        assert_eq!(of(|row| 9_999_980.0 + 4.0 * triangle(row)), 9_999_980.0);
        assert_eq!(of(|row| 1e9 - 20.0 + triangle(row)), 999_999_980.0);
        assert_eq!(of(|row| 52.123_456 + 1e-5 * triangle(row)), 52.1235);
        assert_eq!(of(|row| -0.000_123_456_7 - 1e-10 * triangle(row)), -0.000_123_456_7);
        // Pulses, of which f32 would tell every eighth; integers have an integer.
        assert_eq!(of(|row| 73_400_112.0 + (row / 3) as f64), 73_400_000.0);
        assert_eq!(of(|row| 1e9 + (row % 3 / 2) as f64), 1e9);
        // Where it was not measured, and where it seldom moves.
        assert_eq!(of(|row| if row % 5 == 0 { 0.0 } else { 1e7 + triangle(row) }), 1e7);
        assert_eq!(of(|row| if row % 50 == 0 { 1e7 + 1.0 } else { 1e7 }), 1e7);
        for value in [
            &(|row| 300.0 + 0.1 * triangle(row)) as &dyn Fn(usize) -> f64,
            &|row| 101_325.0 + 5.0 * triangle(row),
            &triangle,
            &|_| 1e9,
            &|_| f64::NAN,
            &|row| row as f64,
            &|row| 1e5 * row as f64,
            &|row| if row == 3 { f64::INFINITY } else { 7.0 },
        ] {
            assert_eq!(of(value), 0.0);
        }
        assert_eq!(origin(&mut vec![]), 0.0);
    }

    #[test]
    fn columns_with_an_origin_keep_their_changes_and_others_their_bits() {
        let exact = |row: usize| [0.1 * row as f64, 1e9 + 0.01 * (row % 100) as f64, f64::NAN];
        for rows in [10, ROWS, ROWS + 10] {
            let (mut origins, mut values) = (Origins::new(3), Vec::new());
            for row in 0..rows {
                for (column, value) in exact(row).into_iter().enumerate() {
                    values.push(origins.relative(column, value as f32, || value));
                }
                origins.row_ends(|place, value| values[place] = value);
            }
            assert_eq!(origins.is_decided, rows >= ROWS);
            origins.decide(|place, value| values[place] = value);
            let found = origins.clone().into_vec();
            assert!(found[0] == 0.0 && (found[1] - 1e9).abs() <= 1.0 && found[2] == 0.0, "{found:?}");
            for (row, values) in values.chunks(3).enumerate() {
                let [a, b, _] = exact(row);
                assert_eq!(values[0], a as f32);
                assert!((f64::from(values[1]) + found[1] - b).abs() < 1e-6 && values[2].is_nan(), "{row}: {values:?}");
            }
        }
        let mut none = Origins::new(1);
        assert_eq!(none.relative(0, 1.0, || 1.0), 1.0);
        none.decide(|_, _| panic!("it has no origin"));
        assert!(none.into_vec().is_empty());
    }
}
