//! Memory for what is read one after the other: as much as is needed, and not the double of it.

use std::path::Path;

use anyhow::{Result, anyhow};

/// Elements that there is room for at first.
const FIRST: usize = 1 << 18;
/// How often as many as there are will come, where nobody knows: what is not used is addresses, not memory.
const MANY: usize = 1024;

/// What is known of how many will come in all.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// So many, as a header says, which may lie.
    Count(usize),
    /// Those that there are come from this part of the file.
    Part(f64),
    /// Nothing, of a pipe.
    Unknown,
}

impl Expected {
    /// By the part of the file that has been read; of a pipe nothing.
    pub(crate) fn from_part(part: Option<f64>) -> Self {
        part.map_or(Self::Unknown, Self::Part)
    }
}

/// Makes room for so many more. A vector that doubles would hold three times what it has when it moves; this one moves once or twice, early:
/// the room is that of all that is expected, of which the system gives memory to what is written only.
///
/// # Errors
/// If there is no memory for them.
pub(crate) fn reserve<T>(
    values: &mut Vec<T>,
    more: usize,
    expected: impl FnOnce() -> Expected,
    path: &Path,
) -> Result<()> {
    if values.capacity() - values.len() >= more {
        return Ok(());
    }
    grow(values, more, expected()).ok_or_else(|| {
        anyhow!(
            "{}: there is no memory for more than the first {} values of it: give a part of the file, or fewer columns",
            path.display(),
            values.len()
        )
    })
}

#[cold]
fn grow<T>(values: &mut Vec<T>, more: usize, expected: Expected) -> Option<()> {
    let length = values.len();
    let rooms = match expected {
        _ if length + more <= FIRST => [FIRST, length + more, length + more],
        Expected::Count(count) => [count.min(length.saturating_mul(MANY)), length.saturating_mul(2), length],
        Expected::Part(part) => {
            let all = length as f64 / part.max(1e-9);
            // The beginning of a file may have longer rows than its rest.
            [(2.0 * all) as usize, (1.1 * all) as usize, length.saturating_mul(2)]
        }
        Expected::Unknown => [length.saturating_mul(MANY), length.saturating_mul(16), length.saturating_mul(2)],
    };
    let rooms = rooms.into_iter().chain([length + more]).map(|room| room.max(length + more));
    rooms.into_iter().find_map(|room| values.try_reserve_exact(room - length).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_moves_once_or_twice_whatever_is_known_of_its_length() {
        const COUNT: usize = 5_000_000;
        let path = Path::new("x.csv");
        for known in [0, 1, 2] {
            let mut values: Vec<f32> = Vec::new();
            let mut moves = 0;
            for index in 0..COUNT {
                let expected = match known {
                    0 => Expected::Count(COUNT),
                    1 => Expected::Part((index + 1) as f64 / COUNT as f64),
                    _ => Expected::Unknown,
                };
                let before = values.capacity();
                reserve(&mut values, 1, || expected, path).unwrap();
                moves += usize::from(values.capacity() != before);
                values.push(index as f32);
            }
            assert!(moves <= 2 && values[COUNT - 1] == (COUNT - 1) as f32, "{known}: {moves}");
        }
        // What a header promises is not taken at its word, and what cannot be had is an error.
        let mut values = vec![0u8; FIRST];
        reserve(&mut values, 1, || Expected::Count(usize::MAX), path).unwrap();
        let message = reserve(&mut values, usize::MAX / 2, || Expected::Unknown, path).unwrap_err().to_string();
        assert!(message.contains("no memory for more than the first 262144 values"), "{message}");
    }
}
