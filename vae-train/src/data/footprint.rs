//! How much memory a fit takes, and how much there is.

use crate::{config::Config, tables::table::Table};

/// Bytes beside the values: of each row what may be its time, of each window its indices and its place in an epoch's order.
const OF_ROW: f64 = 16.0;
const OF_WINDOW: f64 = 40.0;

/// What a fit takes in memory, by the number of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Footprint {
    /// Bytes for each row.
    pub of_row: f64,
}

impl Footprint {
    /// Of a table of these columns, and of its windows as the configuration has them.
    #[must_use]
    pub fn of(table: &Table, config: &Config) -> Self {
        let values = (size_of::<f32>() * table.columns.len()) as f64;
        let (window, hop) = (config.data.window, config.data.hop());
        let windows = 1.0 / hop as f64;
        // Windows of one row take the place of the rows.
        let of_windows = if (window, hop) == (1, 1) { 0.0 } else { windows * window as f64 * values };
        Self { of_row: values + of_windows + OF_ROW + windows * OF_WINDOW }
    }

    /// Of so many rows.
    #[must_use]
    pub fn bytes(&self, rows: f64) -> f64 {
        rows * self.of_row
    }
}

/// Bytes of memory that this process may still take: what is free, or what its container has left, if that is less; `None` where the system does not
/// say.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    // What its files take of it is given back where it is asked for.
    let left = |limits: sysinfo::CGroupLimits| limits.total_memory.saturating_sub(limits.rss);
    let of_container = system.cgroup_limits().map_or(u64::MAX, left);
    Some(system.available_memory().min(of_container)).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_takes_its_rows_and_its_windows() {
        let table = Table { columns: (0..8).map(|column| format!("c{column}")).collect(), ..Table::default() };
        let mut config = Config::default();
        assert_eq!(Footprint::of(&table, &config).bytes(10.0), 10.0 * (32.0 + 16.0 + 40.0));
        (config.data.window, config.data.hop) = (64, Some(16));
        assert_eq!(Footprint::of(&table, &config).of_row, 32.0 + 4.0 * 32.0 + 16.0 + 2.5);
        assert!(available_memory().is_none_or(|bytes| bytes > 1 << 20));
    }
}
